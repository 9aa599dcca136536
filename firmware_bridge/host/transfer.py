"""Pushing the chunks that a board wants: order, compression, progress, cancelling. Knows nothing of trust or slots."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from firmware_bridge.errors import TransferError
from firmware_bridge.protocol.deflate import chunk_message
from firmware_bridge.protocol.messages import Message
from firmware_bridge.session.base import Session

__all__ = ["CancelledError", "ChunkSource", "Compression", "TransferProgress", "needed_chunks", "send_chunks"]

_AHEAD_BYTES = 64 * 1024  # how much may be unsent, a frame: enough to keep the line busy, little to cancel at once
_REPORT_S = 0.1
_SETTLE_S = 0.25
_STALL_S = (
    60.0  # far beyond what a flash chip erases in, or a line repeats in: a board that stays alive and takes no byte
)


class CancelledError(TransferError):
    """The user cancelled; the board runs the same model as before, and its chunks remain for the next push."""


class ChunkSource(Protocol):
    """What a push needs of a package; `firmware_bridge.package.container.PackageFile` is one."""

    @property
    def head(self) -> bytes:
        """The container's first bytes: header, signed manifest and chunk table."""
        ...

    @property
    def chunk_count(self) -> int:
        """How many chunks the payload has."""
        ...

    def chunk(self, index: int) -> bytes:
        """Return one chunk of the payload."""
        ...


@dataclass(frozen=True, slots=True)
class TransferProgress:
    """Where a push is.

    Attributes:
        bytes_total: the whole payload.
        bytes_done: what the board has of it, earlier pushes included; over SSH, what has left for the board: buffers
            on the way hold up to some megabytes.
        wire_bytes: bytes put on the link for this push, everything included.
        rate_bytes_s: payload a second in this push, or 0 before anything has arrived.
        eta_s: seconds left at this rate, or None before it is known.
        retries: frames that had to be sent again.
    """

    bytes_total: int
    bytes_done: int
    wire_bytes: int
    rate_bytes_s: float
    eta_s: float | None
    retries: int


class Compression:
    """Decides chunk by chunk whether to deflate: on slow lines, and not while the payload does not shrink."""

    _SLOW_BYTES_S = 4e6  # half of what a busy core deflates: a faster line gains nothing from it
    _MAX_SKIPPED = 16

    def __init__(self, *, reliable: bool, allowed: bool = True) -> None:
        """Create the decision for one push; ``allowed=False`` never deflates."""
        self._allowed = allowed
        self._reliable = reliable
        self._skip = 0
        self._next_skip = 1

    def worthwhile(self, rate_bytes_s: float) -> bool:
        """Return whether to deflate the next chunk, at the rate seen so far (0: unknown)."""
        if not self._allowed or (self._reliable and not 0 < rate_bytes_s < self._SLOW_BYTES_S):
            return False
        if self._skip:
            self._skip -= 1
            return False
        return True

    def report(self, *, shrunk: bool) -> None:
        """Take the outcome of a chunk that was to be deflated; after each vain one, the next are left as they are."""
        self._next_skip = 1 if shrunk else min(2 * self._next_skip, self._MAX_SKIPPED)
        self._skip = 0 if shrunk else self._next_skip


def needed_chunks(missing: bytes, chunk_count: int) -> Iterator[int]:
    """Return the indexes whose bit (LSB first) is set in ``missing``, ascending."""
    return (i for i in range(min(chunk_count, 8 * len(missing))) if missing[i // 8] >> (i % 8) & 1)


def send_chunks(
    session: Session,
    package: ChunkSource,
    needed: list[int],
    *,
    compression: Compression,
    refused: Callable[[Message], None],
    progress: Callable[[TransferProgress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Send the needed chunks and wait until the board has them all.

    Args:
        session: with the board.
        package: where the chunks come from.
        needed: indexes of the chunks, ascending.
        compression: whether to deflate.
        refused: called with a message that the board sends meanwhile (a refusal); it raises.
        progress: called about ten times a second, and once at the end.
        cancel: polled for each frame and each tenth of a second.
        clock: seconds.

    Raises:
        CancelledError: ``cancel`` returned True.
        TransferError: the link broke, or the board took no data for a minute.
    """
    meter, stall = _Meter(session, package, len(needed), clock), _Stall(session, clock)
    report = progress or (lambda _: None)
    unlooked_bytes = 0
    for index in needed:
        data = package.chunk(index)
        compress = compression.worthwhile(meter.settled_rate_bytes_s)
        message = chunk_message(index, data, compress=compress)
        if compress:
            compression.report(shrunk=message.deflated)
        meter.sent(len(data), session.send(message, more=index != needed[-1]))
        unlooked_bytes += len(data)
        if max(unlooked_bytes, session.unsent_bytes) < _AHEAD_BYTES:
            continue
        unlooked_bytes, has_room = 0, False
        while not has_room:
            _look(session, refused, cancel)
            stall.check(meter)
            if meter.due():
                report(meter.progress())
            has_room = session.wait_writable(_AHEAD_BYTES, _REPORT_S)
    while not meter.complete():
        _look(session, refused, cancel)
        stall.check(meter)
        report(meter.progress())
        session.drain(_REPORT_S)
    report(meter.progress())


def _look(session: Session, refused: Callable[[Message], None], cancel: Callable[[], bool] | None) -> None:
    if cancel is not None and cancel():
        raise CancelledError("push cancelled; the board runs the same model as before, and the next push resumes")
    message = session.receive(0.0)
    if message is not None:
        refused(message)


class _Stall:
    """Notices a board that keeps the session alive, and gives no credit for more data."""

    def __init__(self, session: Session, clock: Callable[[], float]) -> None:
        self._session, self._clock = session, clock
        self._mark = (-1, -1)
        self._since_s = 0.0

    def check(self, meter: _Meter) -> None:
        """Raise when nothing has moved for too long; to be called while waiting."""
        mark = (self._session.acked_bytes, self._session.unsent_bytes)
        if mark != self._mark:
            self._mark, self._since_s = mark, self._clock()
        elif self._clock() - self._since_s > _STALL_S:
            at = meter.progress()
            raise TransferError(
                f"{self._session.name} answers, but has accepted no data for {_STALL_S:.0f} s; waiting to send the "
                f"next chunk at {at.bytes_done} of {at.bytes_total} bytes; reboot the board, then run the same command "
                "again: it sends only what is missing"
            )


class _Meter:
    """Counts what has arrived."""

    def __init__(self, session: Session, package: ChunkSource, needed: int, clock: Callable[[], float]) -> None:
        self._session = session
        self._clock = clock
        last = package.chunk_count - 1
        self._total = last * len(package.chunk(0)) + len(package.chunk(last)) if package.chunk_count else 0
        self._on_way: deque[tuple[int, int]] = deque()  # (end in the stream, payload bytes)
        self._left = needed
        self._arrived = 0
        self._unsent = 0
        self._begin_s = self._reported_s = clock()
        statistics = session.statistics
        self._wire_before, self._retries_before = statistics.wire_bytes_sent, statistics.retransmissions
        # Chunks that the board has already count as done; the last one may be shorter, which settles at the end.
        fraction = (package.chunk_count - needed) / package.chunk_count if package.chunk_count else 0
        self._before = round(self._total * fraction)

    @property
    def rate_bytes_s(self) -> float:
        self._settle()
        passed_s = self._clock() - self._begin_s
        return self._arrived / passed_s if passed_s > 0 else 0.0

    @property
    def settled_rate_bytes_s(self) -> float:
        """The rate, or 0 while it is too early to tell."""
        return self.rate_bytes_s if self._clock() - self._begin_s > _SETTLE_S else 0.0

    def sent(self, payload_bytes: int, end: int) -> None:
        self._on_way.append((end, payload_bytes))
        self._left -= 1

    def _settle(self) -> None:
        acked = self._session.acked_bytes
        while self._on_way and self._on_way[0][0] <= acked:
            self._arrived += self._on_way.popleft()[1]

    def complete(self) -> bool:
        """Whether all has arrived; on a reliable link, whether all has left (its end is acknowledged by the answer)."""
        self._settle()
        return self._left == 0 and (not self._on_way or self._session.all_sent)

    def due(self) -> bool:
        return self._clock() - self._reported_s >= _REPORT_S

    def progress(self) -> TransferProgress:
        rate = self.rate_bytes_s
        self._reported_s = self._clock()
        statistics = self._session.statistics
        finished = self.complete()
        done = self._total if finished else min(self._total, self._before + self._arrived)
        return TransferProgress(
            self._total,
            done,
            statistics.wire_bytes_sent - self._wire_before,
            rate,
            (self._total - done) / rate if rate else None,
            statistics.retransmissions - self._retries_before,
        )
