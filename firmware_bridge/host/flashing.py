"""One board on its way to a package: connect, push, activate, confirm; what is tried again, and what is left alone.

`firmware_bridge.host.fleet` runs one of these for each board, in a thread of its own. Nothing here prints, and nothing
is raised for the board's failure: whatever happens becomes the result.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from firmware_bridge.errors import BenchError, BoardBusyError, BoardError, BridgeError, TransferError
from firmware_bridge.host.board import Board
from firmware_bridge.host.identities import BoardIdentities, IdentityEntry
from firmware_bridge.host.transfer import CancelledError, ChunkSource, TransferProgress
from firmware_bridge.package.manifest import Manifest
from firmware_bridge.protocol import messages as m

__all__ = ["FlashEvent", "FlashOptions", "FlashOutcome", "FlashResult", "FlashStep", "FlashTarget", "ModelIdentity",
           "flash_board"]  # fmt: skip

_HELD_S = 40.0  # how long a session that broke may still hold its board, which waits 30 s for a silent host
_POLL_S = 0.25
_REPLUG_S = 15.0  # how long a serial port that was unplugged is waited for
_REPLUGS = 20  # more of them are a broken cable


class FlashStep(Enum):
    """Where one board is."""

    CONNECT = "connect"
    PUSH = "push"
    RETRY = "retry"
    ACTIVATE = "activate"
    CONFIRM = "confirm"
    DONE = "done"
    FAILED = "failed"


class FlashOutcome(Enum):
    """How one board ended; the values are for people."""

    CONFIRMED = "confirmed"
    ACTIVATED = "activated, not confirmed"
    PUSHED = "pushed, not activated"
    UNCHANGED = "already active, nothing to do"
    SAME_BOARD = "the same board as another one"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Identity of the package in a slot: name, version, rollback index, and the graph's SHA-256 in hex."""

    model: str
    version: str
    security_version: int
    digest: str

    @classmethod
    def of(cls, manifest: Manifest) -> ModelIdentity:
        """Return the identity of a package with this manifest."""
        return cls(manifest.model, manifest.version, manifest.security_version, manifest.payload_sha256.hex())

    def is_in(self, slot: m.SlotInfo) -> bool:
        """Return whether this package is in ``slot``."""
        return self == ModelIdentity(slot.model, slot.version, slot.security_version, slot.digest)


@dataclass(frozen=True, slots=True)
class FlashTarget:
    """One board: its name for people, and how to open it (again, for a retry).

    Attributes:
        name: the name.
        open: opens it.
        port: the serial port's stable path; one that is unplugged is waited for.
        place: where it is, for people, e.g. the USB socket.
    """

    name: str
    open: Callable[[], AbstractContextManager[Board]]
    port: Path | None = None
    place: str = ""


@dataclass(frozen=True, slots=True)
class FlashOptions:
    """What is to be done with each board.

    Attributes:
        activate: switch to the package after the push.
        confirm: keep it after the trial (only with ``activate``).
        attempts: how often a broken link is opened again; each time only the missing chunks are sent.
        unless_active: leave a board alone that runs this already; None installs anew.
        digest: SHA-256 of the package's graph in hex; a board that says it has installed another one has failed. ``""``
            takes the board's word.
    """

    activate: bool = True
    confirm: bool = True
    attempts: int = 2
    unless_active: ModelIdentity | None = None
    digest: str = ""


@dataclass(frozen=True, slots=True)
class FlashEvent:
    """Something happened to one board.

    Attributes:
        board: the target's name.
        step: where it is now.
        serial: the board's serial number, ``""`` until it has given it.
        progress: of the push, where there is any.
        error: why it failed, or is tried again.
    """

    board: str
    step: FlashStep
    serial: str = ""
    progress: TransferProgress | None = None
    error: Exception | None = None


@dataclass(frozen=True, slots=True)
class FlashResult:
    """The end of one board.

    Attributes:
        board: the target's name.
        serial: the board's serial number, ``""`` when it was never reached.
        outcome: how it ended.
        reached: what was done before it failed: PUSHED, ACTIVATED or None; the outcome itself when it did not fail.
        slot: where the package is, ``""`` when it is not.
        digest: SHA-256 of the graph, hex.
        seconds: how long it took.
        attempts: how often it was opened.
        error: why it failed, or None.
        remark: what else a person should know, e.g. of which target it is the same board.
    """

    board: str
    serial: str
    outcome: FlashOutcome
    reached: FlashOutcome | None
    slot: str
    digest: str
    seconds: float
    attempts: int
    error: Exception | None = None
    remark: str = ""

    @property
    def passed(self) -> bool:
        """Whether everything requested is done on this board."""
        return self.error is None

    @property
    def counts(self) -> bool:
        """Whether this is a distinct board."""
        return self.outcome is not FlashOutcome.SAME_BOARD


def flash_board(
    target: FlashTarget,
    package: ChunkSource,
    options: FlashOptions,
    identities: BoardIdentities,
    report: Callable[[FlashEvent], None],
    cancel: Callable[[], bool],
    clock: Callable[[], float] = time.monotonic,
) -> FlashResult:
    """Flash one board; never raises an `Exception`, whatever the board, the link or this code does."""
    return _Flashing(target, package, options, identities, report, cancel, clock).run()


class _Flashing:
    """The state of one board on its way."""

    def __init__(
        self,
        target: FlashTarget,
        package: ChunkSource,
        options: FlashOptions,
        identities: BoardIdentities,
        report: Callable[[FlashEvent], None],
        cancel: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._target, self._package, self._options, self._identities = target, package, options, identities
        self._report, self._cancel, self._clock = report, cancel, clock
        self._entry: IdentityEntry | None = None
        self._serial = self._slot = self._digest = self._remark = ""
        self._reached: FlashOutcome | None = None
        self._busy_until_s = self._port_until_s = float("-inf")
        self._attempts = self._breaks = self._replugs = 0

    def run(self) -> FlashResult:
        begin_s = self._clock()
        error: Exception | None = None
        try:
            self._until_done()
        except Exception as failure:  # noqa: BLE001  # one board's failure, or a bug, is no other board's
            error = failure
        finally:
            if self._entry is None:
                self._identities.drop_target()
            else:
                self._entry.end()
        outcome = FlashOutcome.FAILED if error is not None or self._reached is None else self._reached
        return FlashResult(
            self._target.name, self._serial, outcome, self._reached, self._slot, self._digest,
            self._clock() - begin_s, self._attempts, error, self._remark,
        )  # fmt: skip

    def _until_done(self) -> None:
        while True:
            self._attempts += 1
            try:
                return self._once()
            except CancelledError:
                raise
            except TransferError as broken:
                self._busy_until_s = self._clock() + _HELD_S
                self._prepare_retry(broken)
            except BenchError as missing:
                # A port that has just come back is not ready at once: udev sets its owner a moment later.
                if self._clock() > self._port_until_s:
                    raise
                self._tell(FlashStep.RETRY, error=missing)
                self._pause()

    def _prepare_retry(self, broken: TransferError) -> None:
        """Return when the link may be opened again; raise ``broken`` when it may not."""
        if self._port_is_gone() and self._replugs < _REPLUGS:
            self._replugs += 1
            self._await_port(broken)
            return
        self._breaks += 1
        if self._breaks >= self._options.attempts:
            raise broken
        self._tell(FlashStep.RETRY, error=broken)

    def _port_is_gone(self) -> bool:
        return self._target.port is not None and not self._target.port.exists()

    def _await_port(self, broken: TransferError) -> None:
        gone = TransferError(f"{self._target.port} was unplugged; waiting {_REPLUG_S:.0f} s for it to come back")
        self._tell(FlashStep.RETRY, error=gone)
        self._port_until_s = self._clock() + _REPLUG_S
        while self._port_is_gone():
            if self._clock() > self._port_until_s:
                raise TransferError(
                    f"{self._target.port} was unplugged and did not come back within {_REPLUG_S:.0f} s; plug it in and "
                    "run the same command again: it sends only what is missing"
                ) from broken
            self._pause()

    def _once(self) -> None:
        self._stop_if_cancelled()
        self._tell(FlashStep.CONNECT)
        with self._target.open() as board:
            self._serial = board.welcome.serial
            self._stop_if_cancelled()
            if self._is_counted_already(board):
                self._reached = FlashOutcome.SAME_BOARD
                return
            if not self._runs_it_already(board):
                self._install(board)
            self._confirm(board)
            if self._entry is not None and (self._entry.is_match or not self._identities.is_complete):
                self._entry.answer(board)

    def _is_counted_already(self, board: Board) -> bool:
        """Return whether this board is another target's too; two boards with one serial number get a remark."""
        if self._entry is not None:
            return False
        self._entry, first = self._identities.enter(self._target.name, self._serial)
        if first is None:
            return False
        log = board.audit()
        same = first.is_board_of(log, self._stop_if_cancelled)
        if same:
            self._remark = f"the same board as {first.target}: it counts once"
            return True
        known = "" if same is False else " (or one board, which could not be found out)"
        self._remark = (
            f"two boards{known} have the serial number {self._serial}: {first.target}, and {self._target.name}"
            + (f" at {self._target.place}" if self._target.place else "")
            + "; give one of them another"
        )
        return False

    def _runs_it_already(self, board: Board) -> bool:
        """Return whether the board runs the package already, in which case nothing is sent."""
        target = self._options.unless_active
        if target is None:
            return False
        info = board.info()
        slot = next((slot for slot in info.slots if slot.name == info.active), None)
        if slot is None or not target.is_in(slot) or slot.state not in ("trial", "confirmed"):
            return False
        self._slot, self._digest = slot.name, slot.digest
        self._reached = FlashOutcome.UNCHANGED
        if slot.state == "trial":
            self._reached = FlashOutcome.ACTIVATED
        return True

    def _install(self, board: Board) -> None:
        self._tell(FlashStep.PUSH)
        installed = self._push(board)
        if self._options.digest not in ("", installed.digest):
            raise BoardError(
                f"the board says that it has installed a graph of SHA-256 {installed.digest or '(none)'}, and was sent "
                f"{self._options.digest}; do not use it"
            )
        self._slot, self._digest, self._reached = installed.slot, installed.digest, FlashOutcome.PUSHED
        if self._entry is not None and self._entry.is_match:
            self._entry.answer(board)
        # From here on the board changes: what has begun is finished, and until here nothing has.
        self._stop_if_cancelled()
        if self._options.activate:
            self._tell(FlashStep.ACTIVATE)
            board.activate(installed.slot)
            self._reached = FlashOutcome.ACTIVATED

    def _confirm(self, board: Board) -> None:
        if self._options.activate and self._options.confirm and self._reached is FlashOutcome.ACTIVATED:
            self._tell(FlashStep.CONFIRM)
            board.confirm()
            self._reached = FlashOutcome.CONFIRMED

    def _push(self, board: Board) -> m.Installed:
        """Push; a board that still holds this host's own broken session is waited for."""
        waiting = False
        while True:
            try:
                return board.push(self._package, lambda p: self._tell(FlashStep.PUSH, progress=p), self._cancel)
            except BoardBusyError as busy:
                if self._clock() > self._busy_until_s:
                    raise
                if not waiting:
                    self._tell(FlashStep.RETRY, error=busy)
                waiting = True
            except CancelledError as cancelled:
                raise CancelledError(self._what_is_kept(board)) from cancelled
            self._pause()

    def _what_is_kept(self, board: Board) -> str:
        """Return what an interrupted push has left on the board, by the board's own account."""
        try:
            missing = board.missing(self._package)
        except BridgeError:
            return "cancelled; the board runs the same model as before, and still has the acknowledged chunks"
        count = self._package.chunk_count
        stored = f"{count - missing} of {count} chunks"
        return f"cancelled; the board runs the same model as before, and still has {stored} for the next push"

    def _pause(self) -> None:
        time.sleep(_POLL_S)
        self._stop_if_cancelled()

    def _stop_if_cancelled(self) -> None:
        if self._cancel():
            done = "nothing was sent" if self._reached is None else "the package is in the spare slot"
            raise CancelledError(f"cancelled; {done}, and the board runs the same model as before")

    def _tell(
        self, step: FlashStep, *, progress: TransferProgress | None = None, error: Exception | None = None
    ) -> None:
        self._report(FlashEvent(self._target.name, step, self._serial, progress, error))
