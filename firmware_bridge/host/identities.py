"""Which boards of one run have given which serial number, so that one board that is reached in two ways counts once.

Two targets with one serial number are one board when the audit log that both read is the same one: every board writes
its own, with times, and it may be read while another session changes the board. Knows no links and no packages.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from firmware_bridge.errors import BridgeError
from firmware_bridge.host.board import Board
from firmware_bridge.protocol.messages import AuditEntry

__all__ = ["BoardIdentities", "IdentityEntry"]

_POLL_S = 0.1


class IdentityEntry:
    """One target that a board has answered, and what can tell its board from others."""

    def __init__(self, target: str, serial: str) -> None:
        """Enter ``target``, whose board gives this serial number."""
        self.target = target
        self.serial = serial
        self._wanted = threading.Event()
        self._answered = threading.Event()
        self._log: tuple[AuditEntry, ...] = ()

    @property
    def is_match(self) -> bool:
        """Whether another target waits for this board's log."""
        return self._wanted.is_set() and not self._answered.is_set()

    def answer(self, board: Board) -> None:
        """Read the board's log for those who wait for it, or will; a board that fails here leaves it unknown."""
        if self._answered.is_set():
            return
        try:
            self._log = board.audit()
        except BridgeError:
            return
        self._answered.set()

    def end(self) -> None:
        """Release all who wait: the target has ended."""
        self._answered.set()

    def is_board_of(self, log: tuple[AuditEntry, ...], waiting: Callable[[], None]) -> bool | None:
        """Return whether ``log``, read through another target, is this board's; None when that cannot be known.

        Args:
            log: all of it.
            waiting: called while the answer is waited for; may raise, to end that.
        """
        self._wanted.set()
        while not self._answered.wait(_POLL_S):
            waiting()
        if not self._log or not log:
            return None
        return self._log[-1] in log or log[-1] in self._log


class BoardIdentities:
    """The targets of one run by the serial numbers of their boards; used by several threads."""

    def __init__(self, targets: int) -> None:
        """Begin with ``targets`` of which no board has answered yet."""
        self._guard = threading.Lock()
        self._first: dict[str, IdentityEntry] = {}
        self._unknown = targets

    @property
    def is_complete(self) -> bool:
        """Whether every target's board is known, or will not be."""
        with self._guard:
            return self._unknown <= 0

    def enter(self, target: str, serial: str) -> tuple[IdentityEntry, IdentityEntry | None]:
        """Enter a target once its board has answered; returns its entry, and the first one of this serial number."""
        entry = IdentityEntry(target, serial)
        with self._guard:
            self._unknown -= 1
            first = self._first.setdefault(serial, entry)
        return entry, None if first is entry else first

    def drop_target(self) -> None:
        """Note that a target has ended and no board has answered."""
        with self._guard:
            self._unknown -= 1
