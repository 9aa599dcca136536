"""What a board can do, as the server calls it: the agent's parts put together, and every decision written down.

Owns the order of steps, durable before visible. The rules are elsewhere: of trust in `firmware_bridge.package.trust`,
of slots in `firmware_bridge.agent.state.lifecycle`. Calls that change the board come one at a time; `info`, `trust` and
`audit` may come from other threads at any moment, and only read values that are replaced as a whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TypeVar

from firmware_bridge.agent.deadline import no_deadline
from firmware_bridge.agent.errors import DamagedError, EngineError, StateError
from firmware_bridge.agent.identity import BoardIdentity, agent_version
from firmware_bridge.agent.inference.active_model import RunningModel, try_out
from firmware_bridge.agent.inference.clock import Clock
from firmware_bridge.agent.inference.engine import Engine
from firmware_bridge.agent.inference.paced_run import Pace, run_paced
from firmware_bridge.agent.inference.rails import Rails
from firmware_bridge.agent.inference.tensors import arrays, tensors, zero_inputs
from firmware_bridge.agent.state import lifecycle
from firmware_bridge.agent.state.audit import AuditLog
from firmware_bridge.agent.state.chunks import ChunkStore
from firmware_bridge.agent.state.slot_table import SLOT_NAMES, BoardRecord, SlotRecord, SlotTable
from firmware_bridge.agent.state.slots import Slots, slot_record
from firmware_bridge.agent.state.staging import Staging
from firmware_bridge.agent.state.storage import Storage
from firmware_bridge.agent.state.trust_file import TrustFile
from firmware_bridge.errors import RejectedError
from firmware_bridge.package.manifest import SCHEMA
from firmware_bridge.package.reasons import RejectReason
from firmware_bridge.package.trust import AcceptedPackage, BoardContext, VerifiedPackage, verify_head
from firmware_bridge.protocol import messages as m

__all__ = ["BoardParts", "BoardService"]

_TRIAL_S = _INFERENCE_S = 100.0  # a host waits for 120 s, so it learns of the end from the board
_MEASUREMENT_S = 1800.0  # as long as a host waits for it

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class BoardParts:
    """What a board is made of.

    Attributes:
        identity: who it is.
        capacity_bytes: largest payload of a slot.
        storage: its disk.
        engine: what executes models.
        clock: the clock of inference and rails.
        rails: its power sensors.
        wall_s: seconds since 1970 as far as the board knows, for the audit log.
        time_is_trusted: whether ``wall_s`` may decide about validity.
        deadline: makes the block that follows end within so many seconds, or the agent with it.
    """

    identity: BoardIdentity
    capacity_bytes: int
    storage: Storage
    engine: Engine
    clock: Clock
    rails: Rails
    wall_s: Callable[[], float]
    time_is_trusted: bool = False
    deadline: Callable[[float], AbstractContextManager[None]] = no_deadline


class BoardService:
    """One board. `start` boots it; before that it has no state."""

    def __init__(self, parts: BoardParts) -> None:
        """Put the parts together; reads the audit log and nothing else."""
        self._parts = parts
        self._audit = AuditLog(parts.storage, parts.wall_s)
        self._slot_table = SlotTable(parts.storage)
        self._room = TrustFile(parts.storage)
        chunks = ChunkStore(parts.storage)
        self._slots = Slots(parts.storage, chunks)
        self._staging = Staging(parts.storage, chunks, self._slots)
        self._running = RunningModel(parts.engine, self._load)
        self._runtime = parts.engine.info()

    # --- boot ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Boot: read what is stored, take back an unconfirmed trial, and run the active slot if it verifies.

        A board whose models or records are damaged comes up without a model, and can be helped over its links. One
        whose disk is full or read-only comes up as well, on the model that it has confirmed; what has to be written is
        refused by the disk's own words until there is room.
        """
        self._audit.add("boot", self._parts.identity.serial, f"agent {agent_version()}")
        self._slots.clean()
        try:
            self._room.load()
        except DamagedError as error:
            self._audit.add("trust", "stored", str(error))
        try:
            record, note = lifecycle.after_restart(self._slot_table.load())
        except DamagedError as error:
            record, note = self._salvaged(), str(error)
        if note:
            self._audit.add("fallback", record.active or "none", note)
        self._slot_table.settle(record)
        self._run_active()

    def _run_active(self) -> None:
        """Run the active slot; one that is refused is marked, and the other one takes its place if it can."""
        while slot := self._slot_table.record.active:
            try:
                self._running.start(slot, self._load(slot))
            except (RejectedError, EngineError) as error:
                self._slot_table.settle(lifecycle.failed(self._slot_table.record, slot))
                self._audit.add("fallback", self._slot_table.record.active or "none", f"slot {slot}: {error}")
                continue
            return
        self._running.stop()

    def _salvaged(self) -> BoardRecord:
        """Return a record for a board that has lost its own: what verifies is installed, nothing is active.

        The floor is then the highest version found: at least what it was, since it never exceeds a confirmed slot.
        """
        record = BoardRecord()
        for slot in SLOT_NAMES:
            try:
                package = self._slots.load(slot, self._room.store, self._context(floor=0))
            except RejectedError:
                continue
            record = lifecycle.received(record, slot, slot_record(package, self._slots.head(slot)))
        return replace(record, floor=max(slot.security_version for slot in record.slots))

    # --- state --------------------------------------------------------------------------------------------

    def info(self) -> m.BoardInfo:
        """Return the board's identity and state."""
        identity, record, store = self._parts.identity, self._slot_table.record, self._room.store
        program = store.program if store else ""
        return m.BoardInfo(
            board=identity.board,
            serial=identity.serial,
            emulated=identity.emulated,
            agent=agent_version(),
            program=program,
            trust_version=store.version if store else 0,
            floor=max(record.floor, store.floor(program) if store else 0),
            capacity_bytes=self._parts.capacity_bytes,
            runtime=self._runtime,
            rails=self._parts.rails.labels,
            slots=tuple(_slot_info(name, record.slot(name)) for name in SLOT_NAMES),
            active=record.active,
            package_schema=SCHEMA,
        )

    def trust(self) -> m.TrustState:
        """Return the signed trust store."""
        store = self._room.store
        return m.TrustState(store.raw if store else b"")

    def audit(self, since: int) -> m.Audit:
        """Return the audit entries from number ``since`` on."""
        return m.Audit(self._audit.entries(since))

    # --- what changes it ----------------------------------------------------------------------------------

    def provision(self, store: bytes) -> m.Done:
        """Install a signed trust store; the active model is judged again by it.

        Raises:
            RejectedError: it is not acceptable.
            DamagedError: the one that the board has cannot be read.
        """
        subject = hashlib.sha256(store).hexdigest()[:16]
        new = self._decided("provision", subject, lambda: self._room.install(store))
        self._audit.add("provision", subject, f"ok: {new.program}, version {new.version}")
        self._staging.end()
        self._run_active()
        return m.Done()

    def offer(self, head: bytes) -> m.ChunksNeeded:
        """Judge a package by its head; the answer has the missing chunks.

        Raises:
            RejectedError: a rule refuses it.
        """
        self._staging.end()
        subject = hashlib.sha256(head).hexdigest()[:16]
        accepted = self._decided("offer", subject, lambda: self._judge_head(head))
        missing = self._decided("offer", subject, lambda: self._staging.begin(head, accepted))
        self._audit.add("offer", _named(accepted), f"ok: {sum(missing)} of {len(missing)} chunks needed")
        return m.ChunksNeeded(lifecycle.spare_slot(self._slot_table.record), _bitmap(missing))

    def chunk(self, index: int, data: bytes) -> None:
        """Check one chunk of the offered package, and keep it.

        Raises:
            StateError: nothing is offered.
            RejectedError: CHUNK, it is not that chunk.
        """
        self._decided("chunk", _named(self._staging.accepted), lambda: self._staging.chunk(index, data))

    def finish(self) -> m.Installed:
        """Verify the whole payload as it stands on the disk, and make it the content of the spare slot.

        Raises:
            StateError: nothing is offered, or chunks are missing.
            RejectedError: the payload does not match the head.
        """
        slot, model = lifecycle.spare_slot(self._slot_table.record), _named(self._staging.accepted)
        package = self._decided("install", model, lambda: self._staging.assemble(slot))
        was_active = self._slot_table.record.active
        self._slot_table.commit(lifecycle.cleared(self._slot_table.record, slot))
        self._slots.adopt(slot, self._staging.head)
        facts = slot_record(package, self._slots.head(slot))
        self._slot_table.commit(lifecycle.received(self._slot_table.record, slot, facts))
        waived = f", WAIVED: {facts.waiver}" if facts.waiver else ""
        self._audit.add("install", model, f"ok: slot {slot}{waived}")
        self._staging.end(received=True)
        if was_active == slot:  # it was on trial: its fallback runs again
            self._run_active()
        return m.Installed(slot, package.manifest.payload_sha256.hex())

    def activate(self, slot: str) -> m.Activated:
        """Verify a slot, make it active, and run its trial; if that fails, the board runs the same model as before.

        Raises:
            StateError: the slot does not exist, or is empty.
            RejectedError: a rule refuses what is in it, or TRIAL.
        """
        if slot not in SLOT_NAMES:
            raise StateError(f"there is no slot {slot[:20]!r}; slots are {', '.join(SLOT_NAMES)}")
        before = self._slot_table.record
        trial = lifecycle.begin_trial(before, slot)
        try:
            package = self._load(slot)
            if not trial.trial_passed:  # before the runtime sees it: should the agent die there, the next boot knows
                self._slot_table.commit(trial)
            with self._parts.deadline(_TRIAL_S):
                model = self._running.start(slot, package)
                try_out(package, model)
            self._slot_table.commit(lifecycle.trial_passed(trial))
        except RejectedError as error:
            self._give_up(before, slot, error)
            raise
        except EngineError as error:
            self._give_up(before, slot, error)
            raise RejectedError(RejectReason.TRIAL, str(error)) from error
        except OSError:
            self._run_active()  # as recorded, not as could not be recorded
            raise
        self._audit.add("activate", slot, "ok")
        return m.Activated(slot)

    def _give_up(self, before: BoardRecord, slot: str, error: Exception) -> None:
        """After a slot was refused or failed its trial: it is marked, and what ran before runs."""
        self._slot_table.commit(lifecycle.failed(before, slot))
        self._audit.add("activate", slot, str(error))
        if self._running.slot != self._slot_table.record.active:
            self._run_active()

    def confirm(self) -> m.Confirmed:
        """Keep the active slot, and raise the floor.

        Raises:
            StateError: nothing is active, or its trial has not passed.
        """
        before = self._slot_table.record
        self._slot_table.commit(lifecycle.confirmed(before))
        record = self._slot_table.record
        if record != before:
            self._audit.add("confirm", record.active, f"ok: floor {record.floor}")
        return m.Confirmed(record.active, self.info().floor)

    def reboot(self) -> m.Done:
        """Log the restart request; the server's owner restarts the agent."""
        self._audit.add("reboot", self._parts.identity.serial)
        return m.Done()

    # --- operations ---------------------------------------------------------------------------------------

    def infer(self, request: m.Infer) -> m.Inferred:
        """Run the active model once.

        Raises:
            StateError: no model is active.
            UsageError: the inputs are not those of the model.
            EngineError: the runtime failed.
        """
        model = self._running.model(request.kernels)
        clock = self._parts.clock
        begin_s = clock.now_s()
        with self._parts.deadline(_INFERENCE_S):
            outputs = model.run(arrays(model.graph, request.inputs))
        latency_ms = 1e3 * (clock.now_s() - begin_s)
        return m.Inferred(tensors(outputs), latency_ms)

    def measure(self, request: m.Measure) -> m.Measured:
        """Run the active model in a paced loop, with the rails sampled in the same run.

        Raises:
            StateError, UsageError, EngineError: as for `infer`.
        """
        model = self._running.model("optimised")
        inputs = arrays(model.graph, request.inputs) if request.inputs else zero_inputs(model.graph)
        pace = Pace(request.frames, request.warmup, request.rate_hz, request.idle_s)
        with self._parts.deadline(_MEASUREMENT_S):
            return run_paced(model, inputs, pace, self._parts.clock, self._parts.rails)

    # --- within -------------------------------------------------------------------------------------------

    def _decided(self, action: str, subject: str, decide: Callable[[], _T]) -> _T:
        """Return what ``decide`` returns; a refusal is written down before it is raised on."""
        try:
            return decide()
        except RejectedError as error:
            self._audit.refuse(action, subject, str(error))
            raise

    def _judge_head(self, head: bytes) -> AcceptedPackage:
        return verify_head(head, self._room.store, self._context(self._slot_table.record.floor))

    def _load(self, slot: str) -> VerifiedPackage:
        """Read a slot and judge it anew; every load comes through here."""
        record = self._slot_table.record
        installed = record.slot(slot).head_digest or None
        context = self._context(record.floor)
        package = self._decided("load", slot, lambda: self._slots.load(slot, self._room.store, context, installed))
        self._audit.add("load", slot, f"ok: {package.manifest.payload_sha256.hex()[:16]}")
        return package

    def _context(self, floor: int) -> BoardContext:
        parts, store = self._parts, self._room.store
        return BoardContext(
            board=parts.identity.board,
            program=store.program if store else None,
            runtime=self._runtime,
            floor=floor,
            capacity_bytes=parts.capacity_bytes,
            time_s=parts.wall_s() if parts.time_is_trusted else None,
        )


def _named(accepted: AcceptedPackage) -> str:
    return f"{accepted.manifest.model} {accepted.manifest.version}"


def _bitmap(flags: list[bool]) -> bytes:
    """Return a bitmap, LSB first, as `firmware_bridge.protocol.messages.ChunksNeeded` has it."""
    bits = bytearray(-(-len(flags) // 8))
    for index, flag in enumerate(flags):
        bits[index // 8] |= flag << index % 8
    return bytes(bits)


def _slot_info(name: str, slot: SlotRecord) -> m.SlotInfo:
    return m.SlotInfo(
        name, slot.state.value, slot.model, slot.version, slot.security_version, slot.digest, slot.waiver,
        slot.package_digest,
    )  # fmt: skip
