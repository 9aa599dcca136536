"""A serial cable without hardware: two pseudo-terminals, joined at a line's pace, with its delay and its errors.

Both ends are real terminals that any program can open. 8N1 carries ``baud / 10`` bytes a second, each way.
"""

from __future__ import annotations

import os
import random
import select
import threading
import time
from collections import deque
from types import TracebackType

from firmware_bridge.links.tty import make_raw

__all__ = ["SerialCable"]

_TICK_S = 0.001
_READ_BYTES = 4096
_BITS_PER_BYTE = 10  # start bit, eight data bits, stop bit


class _Wire:
    """One direction: reads no faster than the line carries, delivers after the delay."""

    def __init__(self, source: int, sink: int, rate_bytes_s: float, delay_s: float, error_rate: float, seed: int):
        self._source = source
        self._sink = sink
        self._rate_bytes_s = rate_bytes_s
        self._delay_s = delay_s
        self._error_rate = error_rate
        self._random = random.Random(seed)  # noqa: S311  # repeatable faults, not secrets
        self._until_error = self._gap()
        self._busy_until_s = time.monotonic()
        self._on_way: deque[tuple[float, bytes]] = deque()
        self.carried_bytes = 0

    @property
    def busy(self) -> bool:
        """Whether bytes are on their way."""
        return bool(self._on_way)

    def move(self, now_s: float) -> None:
        budget = int((now_s - self._busy_until_s) * self._rate_bytes_s)
        if budget > 0:
            data = _read(self._source, min(budget, _READ_BYTES))
            self._busy_until_s += len(data) / self._rate_bytes_s
            if len(data) < min(budget, _READ_BYTES):
                self._busy_until_s = now_s  # the line was idle; idle time is not saved up
            if data:
                self.carried_bytes += len(data)
                self._on_way.append((now_s + self._delay_s, self._damage(data)))
        while self._on_way and self._on_way[0][0] <= now_s:
            due_s, data = self._on_way.popleft()
            written = _write(self._sink, data)
            if written < len(data):
                self._on_way.appendleft((due_s, data[written:]))
                break

    def _gap(self) -> int:
        return int(self._random.expovariate(1.0) / self._error_rate) if self._error_rate else -1

    def _damage(self, data: bytes) -> bytes:
        if not self._error_rate:
            return data
        damaged = bytearray(data)
        while self._until_error < len(damaged):
            damaged[self._until_error] ^= self._random.randrange(1, 256)
            self._until_error += 1 + self._gap()
        self._until_error -= len(damaged)
        return bytes(damaged)


class SerialCable:
    """Two joined pseudo-terminals; a context manager that removes them."""

    def __init__(self, baud: int, *, turnaround_s: float = 0.0, error_rate: float = 0.0, seed: int = 1) -> None:
        """Lay the cable.

        Args:
            baud: of the line, both ways; 0 for as fast as the machine can.
            turnaround_s: delay of a byte there and one back, together.
            error_rate: probability that a byte is altered, both ways.
            seed: of the errors.
        """
        self._masters: list[int] = []
        self._slaves: list[int] = []
        for _ in range(2):
            master, slave = os.openpty()
            make_raw(slave, 115200)  # until a program opens it and sets its own
            os.set_blocking(master, False)
            self._masters.append(master)
            self._slaves.append(slave)  # kept open: a terminal that nobody has open hangs up
        rate = baud / _BITS_PER_BYTE if baud else 1e9
        first, second = self._masters
        self._wires = (
            _Wire(first, second, rate, turnaround_s / 2, error_rate, seed),
            _Wire(second, first, rate, turnaround_s / 2, error_rate, seed + 1),
        )
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="serial cable", daemon=True)
        self._thread.start()

    @property
    def host_path(self) -> str:
        """The terminal at the host's end."""
        return os.ttyname(self._slaves[0])

    @property
    def board_path(self) -> str:
        """The terminal at the board's end."""
        return os.ttyname(self._slaves[1])

    @property
    def carried_bytes(self) -> tuple[int, int]:
        """Bytes carried from the host to the board, and back."""
        return self._wires[0].carried_bytes, self._wires[1].carried_bytes

    def __enter__(self) -> SerialCable:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the terminals."""
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join()
            for descriptor in self._masters + self._slaves:
                os.close(descriptor)

    def _run(self) -> None:
        poll = select.poll()
        for master in self._masters:
            poll.register(master, select.POLLIN)
        while not self._stop.is_set():
            now_s = time.monotonic()
            for wire in self._wires:
                wire.move(now_s)
            # While something is under way the clock drives the line; otherwise sleep until somebody writes.
            if self._stop.wait(_TICK_S) or any(wire.busy for wire in self._wires):
                continue
            poll.poll(20)


def _read(descriptor: int, most: int) -> bytes:
    try:
        return os.read(descriptor, most)
    except OSError:  # nothing there, or the last program at the other end has just closed it
        return b""


def _write(descriptor: int, data: bytes) -> int:
    try:
        return os.write(descriptor, data)
    except OSError:  # full: the reader is slow
        return 0
