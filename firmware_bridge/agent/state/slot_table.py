"""What a board remembers about its slots: one value, replaced as a whole, so that no two facts of it can disagree.

Owns the value and its bytes. Which change is allowed when, is the business of `firmware_bridge.agent.state.lifecycle`.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from typing import Any

from firmware_bridge.agent.errors import DamagedError
from firmware_bridge.agent.state.durable_record import DurableRecord
from firmware_bridge.agent.state.storage import Storage

__all__ = ["SLOT_NAMES", "BoardRecord", "SlotRecord", "SlotState", "SlotTable"]

SLOT_NAMES = ("a", "b")

_NAME = "state"
_LIMIT_BYTES = 16 * 1024
_log = logging.getLogger(__name__)

_SCHEMA = 1


class SlotState(Enum):
    """What is known of a slot; the values stand in `firmware_bridge.protocol.messages.SlotInfo`."""

    EMPTY = "empty"
    INSTALLED = "installed"
    TRIAL = "trial"
    CONFIRMED = "confirmed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SlotRecord:
    """One slot.

    Attributes:
        state: what is known of it.
        model: the model's name.
        version: the model's version.
        security_version: the package's rollback index.
        digest: SHA-256 of the graph, hex.
        head_digest: SHA-256 of the package's head, hex: a slot boots the package that was installed, no other one.
        waiver: why it may run without a passed gate, ``""`` if there is no such waiver.
        package_digest: SHA-256 of the whole package, hex; ``""`` in the records of older agents.
    """

    state: SlotState = SlotState.EMPTY
    model: str = ""
    version: str = ""
    security_version: int = 0
    digest: str = ""
    head_digest: str = ""
    waiver: str = ""
    package_digest: str = ""


@dataclass(frozen=True, slots=True)
class BoardRecord:
    """All slots.

    Attributes:
        active: the slot that runs, or ``""``.
        fallback: the confirmed slot that runs again when the trial of the active one fails, or ``""``.
        trial_passed: whether the active slot's trial run has succeeded.
        floor: lowest security version that may run.
        slots: the slots, in the order of `SLOT_NAMES`.
    """

    active: str = ""
    fallback: str = ""
    trial_passed: bool = False
    floor: int = 0
    slots: tuple[SlotRecord, ...] = field(default=(SlotRecord(), SlotRecord()))

    def slot(self, name: str) -> SlotRecord:
        """Return one slot; the name must be of `SLOT_NAMES`."""
        return self.slots[SLOT_NAMES.index(name)]

    def with_slot(self, name: str, slot: SlotRecord) -> BoardRecord:
        """Return a record in which ``slot`` has replaced the one of this name."""
        at = SLOT_NAMES.index(name)
        return replace(self, slots=(*self.slots[:at], slot, *self.slots[at + 1 :]))

    def with_state(self, name: str, state: SlotState) -> BoardRecord:
        """Return a record in which the slot of this name has ``state``."""
        return self.with_slot(name, replace(self.slot(name), state=state))

    def to_bytes(self) -> bytes:
        """Return plain bytes; `from_bytes` restores an equal record."""
        item = asdict(self)
        item["slots"] = [{**slot, "state": slot["state"].value} for slot in item["slots"]]
        for slot in item["slots"]:
            if not slot["waiver"]:
                del slot["waiver"]  # agents before it do not know the field
        return json.dumps({"schema": _SCHEMA, **item}, sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> BoardRecord:
        """Restore what `to_bytes` gave.

        Raises:
            DamagedError: it is not a record, or that of a newer agent.
        """
        try:
            item: dict[str, Any] = json.loads(data)
            if item.pop("schema") != _SCHEMA:
                raise ValueError("another schema")
            slots = tuple(SlotRecord(**{**slot, "state": SlotState(slot["state"])}) for slot in item.pop("slots"))
            record = cls(**item, slots=slots)
            if len(slots) != len(SLOT_NAMES) or {record.active, record.fallback} - {"", *SLOT_NAMES}:
                raise ValueError("unknown slots")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedError(f"the record of the slots cannot be read: {error}") from error
        return record


class SlotTable:
    """The current record; `commit` returns when the new one is durable."""

    def __init__(self, storage: Storage) -> None:
        """Use the record in ``storage``; `load` reads it."""
        self._file = DurableRecord(storage, _NAME, _LIMIT_BYTES)
        self.record = BoardRecord()

    def load(self) -> BoardRecord:
        """Read the record; a factory-new board has an empty one.

        Raises:
            DamagedError: it cannot be read.
        """
        data = self._file.load()
        self.record = BoardRecord() if data is None else BoardRecord.from_bytes(data)
        return self.record

    def settle(self, record: BoardRecord) -> None:
        """Make ``record`` the current one, durably if the disk allows: a board that boots must come up.

        What is not durable is found again at the next boot, from the same state.
        """
        try:
            self.commit(record)
        except OSError as error:
            _log.warning("the record of the slots is not on the disk: %s", error)
            self.record = record

    def commit(self, record: BoardRecord) -> None:
        """Make ``record`` the current one, durably."""
        if record != self.record:
            self._file.save(record.to_bytes())
            self.record = record
