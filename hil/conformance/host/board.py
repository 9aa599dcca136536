"""A board for one case: it plays its role in the protocol on a pseudo-terminal, and lies where the case requires it.

Owns the terminal and the thread. Knows no command of the host, and no expectation.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TypeAlias

from firmware_bridge.device.runtime_info import RuntimeInfo
from firmware_bridge.errors import BridgeError
from firmware_bridge.links.descriptor import DescriptorLink
from firmware_bridge.links.tty import make_raw
from firmware_bridge.protocol import messages as m
from firmware_bridge.protocol.sizes import UNRELIABLE
from firmware_bridge.protocol.states import Role
from firmware_bridge.protocol.versions import MESSAGES_VERSION
from firmware_bridge.session.threaded import ThreadedSession
from hil.conformance.forging import ForgingConnection

__all__ = ["AUDIT", "INFO", "WELCOME", "Answer", "EvilBoard", "Lies"]

_POLL_S = 0.1
_BAUD = 921_600
_STINGY_BYTES = 16 * 1024

WELCOME = m.Welcome(MESSAGES_VERSION, "ks100", "EVIL-1")
INFO = m.BoardInfo(
    board="ks100",
    serial="EVIL-1",
    emulated=False,
    agent="9.9",
    program="conformance",
    trust_version=1,
    floor=0,
    capacity_bytes=32 << 20,
    runtime=RuntimeInfo("litert", "2.3.0", ("ADD:INT8",)),
    rails=("VDD_NPU",),
    slots=(m.SlotInfo("a", "confirmed", "old", "1.0", 1, "11" * 32), m.SlotInfo("b", "confirmed", "new", "2.0", 2)),
    active="a",
)
AUDIT = m.AuditEntry(7, 1.7e9, "boot", "EVIL-1", "agent 9.9")


Answer: TypeAlias = m.Message | Callable[[ThreadedSession], None] | None
"""What a request gets: a message, nothing, or whatever a function does with the session."""


@dataclass(frozen=True, slots=True)
class Lies:
    """Where a board is not honest.

    Attributes:
        answers: by the type of the request, what it gets instead of the honest answer.
        line: takes the line from its first byte on, instead of a session.
        stingy: whether it grants 16 KiB of credit and no more.
    """

    answers: Mapping[type[m.Message], Answer] = field(default_factory=dict)
    line: Callable[[DescriptorLink, threading.Event], None] | None = None
    stingy: bool = False


class _LyingEnd(ForgingConnection):
    """A board's end that may keep its credit to itself."""

    def __init__(self, *, stingy: bool) -> None:
        sizes = replace(UNRELIABLE, window_bytes=_STINGY_BYTES) if stingy else None
        super().__init__(Role.BOARD, reliable=False, sizes=sizes)
        self._stingy = stingy

    def _grant(self) -> None:
        if not self._stingy:
            super()._grant()


class EvilBoard:
    """The board; it serves while it is a context manager.

    Attributes:
        url: its address.
    """

    def __init__(self, lies: Lies, digest: str = "", serial: str = WELCOME.serial) -> None:
        """Create its line.

        Args:
            lies: where it is not honest.
            digest: SHA-256 in hex of the graph that an honest board would have installed.
            serial: its serial number.
        """
        self._lies, self._digest, self._serial = lies, digest, serial
        master, self._slave = os.openpty()  # kept open: a terminal whose last user closes it would hang up
        make_raw(self._slave, _BAUD)
        self.url = f"serial://{os.ttyname(self._slave)}"
        self._link = DescriptorLink(master, os.dup(master), name="evil board", reliable=False)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="evil board", daemon=True)

    def __enter__(self) -> EvilBoard:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._link.close()
        self._thread.join()
        os.close(self._slave)

    def _run(self) -> None:
        with contextlib.suppress(BridgeError):  # the line is closed when the case is over
            if self._lies.line is not None:
                self._lies.line(self._link, self._stop)
                return
            session = ThreadedSession(self._link, _LyingEnd(stingy=self._lies.stingy))
            try:
                while not self._stop.is_set():
                    if (request := session.receive(_POLL_S)) is not None:
                        self._answer(session, request)
            finally:
                session.close()

    def _answer(self, session: ThreadedSession, request: m.Message) -> None:
        answer = self._lies.answers.get(type(request), self._honest(request))
        if isinstance(answer, m.Message):
            session.send(answer)
            if isinstance(request, m.Hello):
                session.use_version(MESSAGES_VERSION)
        elif answer is not None:
            answer(session)

    def _honest(self, request: m.Message) -> m.Message | None:
        match request:
            case m.Hello():
                return replace(WELCOME, serial=self._serial)
            case m.GetInfo():
                return replace(INFO, serial=self._serial)
            case m.GetTrust():
                return m.TrustState(b"")
            case m.GetAudit():
                return m.Audit((replace(AUDIT, subject=self._serial),))
            case m.Offer():
                return m.ChunksNeeded("b", b"\xff" * 8)
            case m.Chunk():
                return None
            case m.Finish():
                return m.Installed("b", self._digest)
            case m.Activate():
                return m.Activated(request.slot)
            case m.Confirm():
                return m.Confirmed("b", 1)
            case m.Infer() | m.Measure():
                return m.Fault(m.FaultKind.STATE, "no model is active")
        return m.Done()
