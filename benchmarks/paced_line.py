"""A paced serial line and a board that keeps what it gets, each in a process of its own, as they are in a lab."""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe

from firmware_bridge.agent.server import serve
from firmware_bridge.device.runtime_info import RuntimeInfo
from firmware_bridge.errors import BoardError, RejectedError
from firmware_bridge.links.tty import tty_link
from firmware_bridge.package.reasons import RejectReason
from firmware_bridge.protocol import messages as m
from hil.virtual.line import PacedLine

__all__ = ["CHUNK_BYTES", "KeepingService", "Line", "PlainPackage", "paced_line", "served_tty"]

CHUNK_BYTES = 16 * 1024

_processes = multiprocessing.get_context("spawn")  # no thread of the measuring process is copied


class PlainPackage:
    """A payload with the digests of its chunks for a head: what the link carries, without the cost of signatures."""

    def __init__(self, payload: bytes, chunk_bytes: int = CHUNK_BYTES) -> None:
        """Cut ``payload`` into chunks."""
        self.payload = payload
        self.digest = hashlib.sha256(payload).hexdigest()
        self._chunks = [payload[at : at + chunk_bytes] for at in range(0, len(payload), chunk_bytes)]
        self.head = b"".join(hashlib.sha256(chunk).digest() for chunk in self._chunks)

    @property
    def chunk_count(self) -> int:
        """How many chunks the payload has."""
        return len(self._chunks)

    def chunk(self, index: int) -> bytes:
        """Return one chunk."""
        return self._chunks[index]


class KeepingService:
    """The part of a board's service that a push needs: chunks by digest, kept in memory."""

    def __init__(self) -> None:
        """Create an empty board."""
        self.stored: dict[bytes, bytes] = {}
        self._offered: list[bytes] = []
        self.chunks_received = 0
        self._kept: tuple[bytes, ...] | None = None
        self._digest, self._digested = hashlib.sha256(), 0  # of the chunks so far, while others are on their way

    def info(self) -> m.BoardInfo:
        """Return a board without anything; the audit carries the count of chunks received."""
        runtime = RuntimeInfo("litert", "0", ())
        return m.BoardInfo("ks100", "BENCH", True, "0", "", 0, 0, 1 << 30, runtime, (), (), "")

    def offer(self, head: bytes) -> m.ChunksNeeded:
        """Take the digests; want what is not there yet."""
        self._offered = [head[at : at + 32] for at in range(0, len(head), 32)]
        missing = bytearray(-(-len(self._offered) // 8))
        for index, digest in enumerate(self._offered):
            if digest not in self.stored:
                missing[index // 8] |= 1 << index % 8
        self._digest, self._digested = hashlib.sha256(), 0
        return m.ChunksNeeded("b", bytes(missing))

    def chunk(self, index: int, data: bytes) -> None:
        """Check and keep a chunk."""
        if hashlib.sha256(data).digest() != self._offered[index]:
            raise RejectedError(RejectReason.CHUNK, f"chunk {index}")
        self.chunks_received += 1
        self.stored[self._offered[index]] = data
        self._digest_on()

    def _digest_on(self) -> None:
        while self._digested < len(self._offered) and self._offered[self._digested] in self.stored:
            self._digest.update(self.stored[self._offered[self._digested]])
            self._digested += 1

    def finish(self) -> m.Installed:
        """Digest the whole."""
        self._digest_on()
        if self._digested < len(self._offered):
            raise BoardError("chunks are missing")
        self._kept = tuple(self._offered)
        return m.Installed("b", self._digest.hexdigest())

    @property
    def installed(self) -> bytes | None:
        """What was finished last, or None."""
        return None if self._kept is None else b"".join(self.stored[digest] for digest in self._kept)

    def audit(self, since: int) -> m.Audit:
        """Return one entry: how many chunks have been received."""
        return m.Audit((m.AuditEntry(since, 0.0, "chunks", str(self.chunks_received), "ok"),))

    def trust(self) -> m.TrustState:
        """Return no trust store."""
        return m.TrustState(b"")

    def provision(self, store: bytes) -> m.Done:
        """Refuse: not part of a push."""
        raise BoardError(f"not here ({len(store)} bytes)")

    def activate(self, slot: str) -> m.Activated:
        """Agree."""
        return m.Activated(slot)

    def confirm(self) -> m.Confirmed:
        """Agree."""
        return m.Confirmed("b", 0)

    def infer(self, request: m.Infer) -> m.Inferred:
        """Return the inputs."""
        return m.Inferred(request.inputs, 0.0)

    def measure(self, request: m.Measure) -> m.Measured:
        """Refuse: not part of a push."""
        raise BoardError(f"not here ({request.frames} frames)")

    def reboot(self) -> m.Done:
        """Agree."""
        return m.Done()


@dataclass(frozen=True, slots=True)
class Line:
    """A paced line: its two terminals and its speed."""

    host_path: str
    board_path: str
    baud: int

    @property
    def rate_bytes_s(self) -> float:
        """What 8N1 carries."""
        return self.baud / 10


def _line_process(pipe: Pipe, baud: int, options: dict[str, float]) -> None:
    with PacedLine(baud, **options) as line:  # type: ignore[arg-type]  # the seed is a whole number
        pipe.send((line.host_tty, line.board_tty))
        pipe.recv()


def _board_process(path: str, baud: int, fastest: int) -> None:
    serve(tty_link(path, baud, fastest=fastest), KeepingService())


@contextmanager
def paced_line(baud: int, *, turnaround_s: float = 0.016, **options: float) -> Iterator[Line]:
    """Yield a line between two terminals; it ends with the block. ``options`` are those of `PacedLine`."""
    ours, theirs = _processes.Pipe()
    options = {"turnaround_s": turnaround_s, **options}
    process = _processes.Process(target=_line_process, args=(theirs, baud, options), daemon=True)
    process.start()
    try:
        host_path, board_path = ours.recv()
        yield Line(host_path, board_path, baud)
    finally:
        ours.send(None)
        process.join(5)


@contextmanager
def served_tty(line: Line, fastest: int = 0) -> Iterator[None]:
    """Serve a keeping board at the line's other end for the duration; its rate may be raised to ``fastest``."""
    process = _processes.Process(target=_board_process, args=(line.board_path, line.baud, fastest), daemon=True)
    process.start()
    try:
        yield
    finally:
        process.terminate()
        process.join(5)
