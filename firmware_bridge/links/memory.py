"""A pair of links inside one process: what one end writes, the other reads. Bounded, like a real pipe."""

from __future__ import annotations

import threading
from collections import deque

from firmware_bridge.errors import TransferError

__all__ = ["MemoryLink", "memory_pair"]

_CAPACITY_BYTES = 64 * 1024  # what a pipe of the operating system holds


class _Direction:
    """Bytes on their way from one end to the other."""

    def __init__(self, capacity_bytes: int) -> None:
        self.changed = threading.Condition()
        self.pieces: deque[bytes] = deque()
        self.buffered_bytes = 0
        self.capacity_bytes = capacity_bytes
        self.closed = False

    def put(self, data: bytes, name: str) -> None:
        at = 0
        with self.changed:
            while True:
                if self.closed:
                    raise TransferError(f"{name} is closed")
                room = self.capacity_bytes - self.buffered_bytes
                if room > 0 and at < len(data):
                    piece = data[at : at + room]
                    self.pieces.append(piece)
                    self.buffered_bytes += len(piece)
                    at += len(piece)
                    self.changed.notify_all()
                if at >= len(data):
                    return
                self.changed.wait()

    def get(self, timeout_s: float, name: str) -> bytes:
        with self.changed:
            if not self.pieces and not self.closed:
                self.changed.wait(timeout_s)
            if self.pieces:
                data = b"".join(self.pieces)
                self.pieces.clear()
                self.buffered_bytes = 0
                self.changed.notify_all()
                return data
            if self.closed:
                raise TransferError(f"{name} is closed by the other end")
            return b""

    def close(self) -> None:
        with self.changed:
            self.closed = True
            self.changed.notify_all()


class MemoryLink:
    """One end of a pair; see `memory_pair`."""

    def __init__(self, name: str, reading: _Direction, writing: _Direction, *, reliable: bool) -> None:
        self._name = name
        self._reading = reading
        self._writing = writing
        self._reliable = reliable
        self._closed = False

    @property
    def name(self) -> str:
        """What a person would call it."""
        return self._name

    @property
    def reliable(self) -> bool:
        """As it was made: a pair may stand for a serial line as well."""
        return self._reliable

    def read(self, timeout_s: float) -> bytes:
        """Return what has arrived, or ``b""`` after ``timeout_s`` seconds; raises TransferError when closed."""
        if self._closed:
            raise TransferError(f"{self._name} is closed")
        return self._reading.get(timeout_s, self._name)

    def write(self, data: bytes) -> None:
        """Send all of ``data``; raises TransferError when closed."""
        if self._closed:
            raise TransferError(f"{self._name} is closed")
        self._writing.put(data, self._name)

    def close(self) -> None:
        """Close both directions; what has been written can still be read at the other end."""
        self._closed = True
        self._reading.close()
        self._writing.close()


def memory_pair(
    *,
    reliable: bool = True,
    capacity_bytes: int = _CAPACITY_BYTES,
    name: str = "memory:",
) -> tuple[MemoryLink, MemoryLink]:
    """Return two links that are each other's end.

    Args:
        reliable: what they say of themselves; the pair itself never loses a byte.
        capacity_bytes: what each direction holds before a write blocks.
        name: their name.
    """
    there, back = _Direction(capacity_bytes), _Direction(capacity_bytes)
    first = MemoryLink(name, back, there, reliable=reliable)
    return first, MemoryLink(name, there, back, reliable=reliable)
