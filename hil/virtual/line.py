"""A serial line without hardware: a pseudo-terminal for the host, one for the board, and the wire between them.

Both ends are real terminals that any program can open. Bytes take the time that 8N1 takes at the baud rate that each
sender has set in its own terminal; when the two ends have set different ones, what arrives is garbage. A receiver that
does not read loses bytes. Only the standard library.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import os
import random
import select
import struct
import termios
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

from firmware_bridge.links.faults import garbled
from firmware_bridge.links.tty import make_raw

__all__ = ["PacedLine"]

_BITS_PER_BYTE = 10  # start, eight data, stop
_PIECE_S = 0.002  # bytes travel in pieces of this length, as out of the FIFO of a UART
_PIECE_MIN_BYTES = 8
_PIECES = 8  # taken ahead: the wire must not rest because this host was busy for some milliseconds
_RECEIVER_BYTES = 64 * 1024  # the kernel's own limit for a terminal without a reader
_IDLE_POLL_S = 0.1
_QUIET_S = 10.0

# struct termios2 and its ioctl (asm-generic/termbits.h): the rate as a number, whichever way it was set.
_TCGETS2 = 0x802C542A
_TERMIOS2 = struct.Struct("=4IB19s2I")


class PacedLine:
    """The line; it carries bytes from `start` to `close`, or while it is a context manager.

    Attributes:
        host_tty: path of the terminal that a host opens.
        board_tty: path of the terminal that the agent opens.
        carries_baud: what is sent faster arrives as garbage: the cable is too long for it.
    """

    def __init__(
        self,
        baud: int,
        *,
        turnaround_s: float = 0.0,
        byte_error_rate: float = 0.0,
        carries_baud: float = math.inf,
        seed: int = 0,
    ) -> None:
        """Create both terminals.

        Args:
            baud: the initial rate of both.
            turnaround_s: delay of a byte there and one back, together.
            byte_error_rate: how many of the bytes lose a bit on the way.
            carries_baud: the attribute.
            seed: which ones.
        """
        self._masters: list[int] = []
        self._slaves: list[int] = []
        for _ in range(2):
            master, slave = os.openpty()
            make_raw(slave, baud)
            os.set_blocking(master, False)
            self._masters.append(master)
            self._slaves.append(slave)  # kept open: a terminal whose last user closes it would hang up
        self.host_tty, self.board_tty = (os.ttyname(slave) for slave in self._slaves)
        host, board = self._masters
        noise = [_Noise(byte_error_rate, random.Random(seed + n)) for n in range(2)]  # noqa: S311 - noise, no secret
        self.carries_baud = carries_baud
        self._wires = tuple(
            _Wire(source, sink, turnaround_s / 2, self._carry, each)
            for source, sink, each in ((host, board, noise[0]), (board, host, noise[1]))
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="serial line", daemon=True)

    def _carry(self, data: bytes, source: int, sink: int) -> bytes:
        """Return what arrives of ``data``, before noise."""
        sent, heard = _baud(source), _baud(sink)
        return data if sent == heard and sent <= self.carries_baud else garbled(data, sent, heard)

    def _run(self) -> None:
        to_board = self._wires[0]
        while not self._stop.is_set():
            now_s = time.monotonic()
            due = [wire.deliver(now_s) for wire in self._wires]
            wait_s = min([_IDLE_POLL_S, *(at_s - now_s for at_s in due if at_s is not None)])
            sources = {wire.source: wire for wire in self._wires if wire.has_room}
            ready, _, _ = select.select(list(sources), [], [], max(0.0, wait_s))
            for source in ready:
                sources[source].take(time.monotonic())
            if now_s - to_board.last_s > _QUIET_S:
                # A host that was killed has left its terminal exclusive, which the last close of a real port ends.
                fcntl.ioctl(self._slaves[0], termios.TIOCNXCL)

    def __enter__(self) -> PacedLine:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Begin to carry bytes, in a thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop, and close both terminals."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        for descriptor in (*self._masters, *self._slaves):
            with contextlib.suppress(OSError):
                os.close(descriptor)


class _Noise:
    """Flips one bit of some bytes."""

    def __init__(self, rate: float, rng: random.Random) -> None:
        self._rate = rate
        self._rng = rng
        self._gap = self._next_gap()

    def __call__(self, data: bytes) -> bytes:
        if not self._rate:
            return data
        noisy = bytearray(data)
        while self._gap < len(noisy):
            noisy[self._gap] ^= 1 << self._rng.randrange(8)
            self._gap += 1 + self._next_gap()
        self._gap -= len(noisy)
        return bytes(noisy)

    def _next_gap(self) -> int:
        return int(self._rng.expovariate(self._rate)) if self._rate else 0


class _Wire:
    """One direction."""

    def __init__(
        self, source: int, sink: int, delay_s: float, carry: Callable[[bytes, int, int], bytes], noise: _Noise
    ) -> None:
        self.source = source
        self._delay_s = delay_s
        self._carry = carry
        self.last_s = time.monotonic()
        self._sink = sink
        self._noise = noise
        self._free_s = 0.0
        self._travelling: deque[tuple[float, bytes]] = deque()
        self._received = b""  # arrived, and the receiver's terminal is full

    @property
    def has_room(self) -> bool:
        """Whether the sender's FIFO takes more; the sender blocks otherwise, as on a real port."""
        return len(self._travelling) < _PIECES

    def take(self, now_s: float) -> None:
        """Take a piece from the sender's terminal."""
        baud = _baud(self.source)
        try:
            data = os.read(self.source, max(_PIECE_MIN_BYTES, int(_PIECE_S * baud / _BITS_PER_BYTE)))
        except OSError:
            return
        self.last_s = now_s
        self._free_s = max(now_s, self._free_s) + len(data) * _BITS_PER_BYTE / baud
        arriving = self._noise(self._carry(data, self.source, self._sink))
        self._travelling.append((self._free_s + self._delay_s, arriving))

    def deliver(self, now_s: float) -> float | None:
        """Hand over what has arrived; return when the next piece does."""
        while self._travelling and self._travelling[0][0] <= now_s:
            self._received = (self._received + self._travelling.popleft()[1])[:_RECEIVER_BYTES]
        if self._received:
            try:
                self._received = self._received[os.write(self._sink, self._received) :]
            except BlockingIOError:
                pass
            except OSError:
                self._received = b""
        if self._received:
            return now_s + _PIECE_S
        return self._travelling[0][0] if self._travelling else None


def _baud(master: int) -> int:
    """Return the rate that the user of a terminal has set: the kernel answers for a master with its slave's."""
    answer = fcntl.ioctl(master, _TCGETS2, bytes(_TERMIOS2.size))
    return max(1, int(_TERMIOS2.unpack(answer)[-1]))
