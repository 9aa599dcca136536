"""Flashing many boards at once: one thread each, events of each, and one board's failure is no other's.

How a board is opened is passed in, so that virtual boards work the same way. Prints nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum

from firmware_bridge.errors import BoardBusyError, BridgeError, TransferError
from firmware_bridge.host.board import Board
from firmware_bridge.host.transfer import CancelledError, ChunkSource, TransferProgress
from firmware_bridge.protocol import messages as m

__all__ = ["FlashEvent", "FlashResult", "FlashStep", "FlashTarget", "flash"]

_HELD_S = 40.0  # how long a session that broke may still hold its board, which waits 30 s for a silent host
_HELD_POLL_S = 0.5


class FlashStep(Enum):
    """Where one board is."""

    CONNECT = "connect"
    PUSH = "push"
    RETRY = "retry"
    ACTIVATE = "activate"
    CONFIRM = "confirm"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class FlashTarget:
    """One board: its name for people, and how to open it (again, for a retry)."""

    name: str
    open: Callable[[], AbstractContextManager[Board]]


@dataclass(frozen=True, slots=True)
class FlashEvent:
    """Something happened to one board.

    Attributes:
        board: the target's name.
        step: where it is now.
        serial: the board's serial number, ``""`` until it has said it.
        progress: of the push, where there is any.
        error: why it failed, or is tried again.
    """

    board: str
    step: FlashStep
    serial: str = ""
    progress: TransferProgress | None = None
    error: BridgeError | None = None


@dataclass(frozen=True, slots=True)
class FlashResult:
    """The end of one board.

    Attributes:
        board: the target's name.
        serial: the board's serial number, ``""`` when it was never reached.
        slot: where the package is, ``""`` when it is not.
        digest: SHA-256 of the graph, hex.
        seconds: how long it took.
        attempts: how often it was opened.
        error: why it failed, or None.
    """

    board: str
    serial: str
    slot: str
    digest: str
    seconds: float
    attempts: int
    error: BridgeError | None

    @property
    def passed(self) -> bool:
        """Whether the board has the package."""
        return self.error is None


def flash(
    targets: Sequence[FlashTarget],
    package: ChunkSource,
    *,
    activate: bool = True,
    confirm: bool = True,
    attempts: int = 2,
    events: Callable[[FlashEvent], None] | None = None,
    cancel: Callable[[], bool] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[FlashResult, ...]:
    """Flash all targets in parallel.

    Args:
        targets: the boards.
        package: what to push; read by all of them.
        activate: switch to it after the push.
        confirm: keep it after the trial (only with ``activate``).
        attempts: how often a broken link is opened again; each time only the missing chunks are sent.
        events: called by one thread at a time, whatever happens; must not raise.
        cancel: polled; ends all pushes. A board that has not begun to activate runs what it ran before; one that has
            is finished first.
        clock: seconds, monotonic.

    Returns:
        One result for each target, in their order. Nothing is raised for a board's failure.
    """
    if not targets:
        return ()
    guard = threading.Lock()

    def report(event: FlashEvent) -> None:
        if events is not None:
            with guard:
                events(event)

    def one(target: FlashTarget) -> FlashResult:
        return _Flashing(target, package, report, cancel, clock).run(activate, activate and confirm, attempts)

    with ThreadPoolExecutor(max_workers=len(targets), thread_name_prefix="flash") as pool:
        return tuple(pool.map(one, targets))


class _Flashing:
    """One board on its way."""

    def __init__(
        self,
        target: FlashTarget,
        package: ChunkSource,
        report: Callable[[FlashEvent], None],
        cancel: Callable[[], bool] | None,
        clock: Callable[[], float],
    ) -> None:
        self._target = target
        self._package = package
        self._report = report
        self._cancel = cancel
        self._clock = clock
        self._serial = self._slot = self._digest = ""
        self._held_until_s = float("-inf")

    def run(self, activate: bool, confirm: bool, attempts: int) -> FlashResult:
        begin_s = self._clock()
        attempt = 0
        while True:
            attempt += 1
            error: BridgeError | None = None
            try:
                self._once(activate, confirm)
                self._tell(FlashStep.DONE)
            except CancelledError as cancelled:
                error = cancelled
            except TransferError as broken:
                error = broken
                self._held_until_s = self._clock() + _HELD_S
                if attempt < attempts:
                    self._tell(FlashStep.RETRY, error=broken)
                    continue
            except BridgeError as failure:
                error = failure
            if error is not None:
                self._tell(FlashStep.FAILED, error=error)
            seconds = self._clock() - begin_s
            return FlashResult(self._target.name, self._serial, self._slot, self._digest, seconds, attempt, error)

    def _once(self, activate: bool, confirm: bool) -> None:
        self._stop_if_cancelled()
        self._tell(FlashStep.CONNECT)
        with self._target.open() as board:
            self._serial = board.welcome.serial
            self._stop_if_cancelled()
            self._tell(FlashStep.PUSH)
            installed = self._push(board)
            self._slot, self._digest = installed.slot, installed.digest
            # From here on the board changes: what has begun is finished, and until here nothing has.
            self._stop_if_cancelled()
            if activate:
                self._tell(FlashStep.ACTIVATE)
                board.activate(installed.slot)
            if confirm:
                self._tell(FlashStep.CONFIRM)
                board.confirm()

    def _push(self, board: Board) -> m.Installed:
        """Push; a board that still holds this host's own broken session is waited for."""
        told = False
        while True:
            try:
                return board.push(self._package, lambda p: self._tell(FlashStep.PUSH, progress=p), self._cancel)
            except BoardBusyError as busy:
                if self._clock() > self._held_until_s:
                    raise
                if not told:
                    self._tell(FlashStep.RETRY, error=busy)
                told = True
            time.sleep(_HELD_POLL_S)
            self._stop_if_cancelled()

    def _stop_if_cancelled(self) -> None:
        if self._cancel is not None and self._cancel():
            raise CancelledError("cancelled; the board runs what it ran before, and the next push resumes")

    def _tell(
        self, step: FlashStep, *, progress: TransferProgress | None = None, error: BridgeError | None = None
    ) -> None:
        self._report(FlashEvent(self._target.name, step, self._serial, progress, error))
