"""Bounds-checked reading of FlatBuffers from untrusted bytes.

Owns: that no read leaves the buffer, that every table and vector is well formed, and that the work is bounded by
the size of the buffer (aliased offsets would otherwise turn a small file into a long loop). Knows no schema.

Layout: https://flatbuffers.dev/internals/ (a table points back to its vtable; offsets point forward, unsigned).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from firmware_bridge.errors import InputError

__all__ = ["FlatBuffer", "FlatTable"]

# A well-formed file is read about once; tables and strings shared by a compressing writer are read a few times.
_READS_PER_BYTE = 8
_READS_MIN = 1 << 16

_FORMATS = {"b": 1, "B": 1, "?": 1, "h": 2, "H": 2, "i": 4, "I": 4, "f": 4, "q": 8, "Q": 8, "d": 8}


class FlatBuffer:
    """One FlatBuffer; hands out tables and keeps count of the bytes read through it."""

    __slots__ = ("_budget_bytes", "data")

    def __init__(self, data: bytes) -> None:
        """Wrap ``data``; nothing is read yet."""
        self.data = data
        self._budget_bytes = _READS_PER_BYTE * len(data) + _READS_MIN

    def root(self, identifier: bytes) -> FlatTable:
        """Return the root table.

        Args:
            identifier: the four bytes that the schema writes at offset 4.

        Raises:
            InputError: the buffer is too short or is of another schema.
        """
        if len(self.data) < 8 or self.data[4:8] != identifier:
            raise InputError(f"not a {identifier.decode()} FlatBuffer: bytes 4 to 8 are {bytes(self.data[4:8])!r}")
        return FlatTable(self, self.target(0))

    def scalar(self, kind: str, position: int) -> int | float:
        """Return the little-endian scalar of `struct` format ``kind`` at ``position``."""
        self.require(position, _FORMATS[kind], f"a {kind!r} value")
        value: int | float = struct.unpack_from("<" + kind, self.data, position)[0]
        return value

    def integer(self, kind: str, position: int) -> int:
        """Return `scalar` as an int."""
        return int(self.scalar(kind, position))

    def target(self, position: int) -> int:
        """Follow the forward offset that stands at ``position``."""
        return position + self.integer("I", position)

    def require(self, position: int, size_bytes: int, what: str) -> None:
        """Check that ``size_bytes`` at ``position`` lie inside the buffer, and pay for reading them.

        Raises:
            InputError: they do not, or the buffer's parts refer to one another beyond any honest amount.
        """
        if position < 0 or size_bytes < 0 or position + size_bytes > len(self.data):
            raise InputError(
                f"broken FlatBuffer: {what} of {size_bytes} bytes at offset {position} leaves the"
                f" {len(self.data)} bytes of the file"
            )
        self._budget_bytes -= size_bytes
        if self._budget_bytes < 0:
            raise InputError(f"broken FlatBuffer: {what} at offset {position} repeats bytes already read many times")

    def vector(self, position: int, item_bytes: int) -> tuple[int, int]:
        """Return (position of the first item, count) of the vector at ``position``.

        Raises:
            InputError: the items leave the buffer.
        """
        count = self.integer("I", position)
        self.require(position + 4, count * item_bytes, "a vector")
        return position + 4, count


class FlatTable:
    """One table; fields are named by their index in the schema."""

    __slots__ = ("_buffer", "_position", "_slots")

    def __init__(self, buffer: FlatBuffer, position: int) -> None:
        """Read and check the vtable.

        Raises:
            InputError: the table or its vtable leaves the buffer or contradicts itself.
        """
        self._buffer = buffer
        self._position = position
        vtable = position - buffer.integer("i", position)
        vtable_bytes, table_bytes = buffer.integer("H", vtable), buffer.integer("H", vtable + 2)
        if vtable_bytes < 4 or vtable_bytes % 2 or table_bytes < 4:
            raise InputError(f"broken FlatBuffer: the table at offset {position} has an invalid vtable at {vtable}")
        buffer.require(vtable, vtable_bytes, "a vtable")
        buffer.require(position, table_bytes, "a table")
        self._slots = struct.unpack_from(f"<{vtable_bytes // 2 - 2}H", buffer.data, vtable + 4)
        if any(slot >= table_bytes for slot in self._slots):
            raise InputError(f"broken FlatBuffer: a field of the table at offset {position} lies outside it")

    def _field(self, index: int) -> int | None:
        """Return the position of field ``index``, or None when it is absent."""
        slot = self._slots[index] if index < len(self._slots) else 0
        return self._position + slot if slot else None

    def integer(self, index: int, kind: str, default: int = 0) -> int:
        """Return an integer field."""
        position = self._field(index)
        return default if position is None else self._buffer.integer(kind, position)

    def table(self, index: int) -> FlatTable | None:
        """Return a table field, or None when it is absent."""
        position = self._field(index)
        return None if position is None else FlatTable(self._buffer, self._buffer.target(position))

    def tables(self, index: int) -> Iterator[FlatTable]:
        """Yield the tables of a vector of tables."""
        position = self._field(index)
        if position is None:
            return
        first, count = self._buffer.vector(self._buffer.target(position), 4)
        for item in range(first, first + 4 * count, 4):
            yield FlatTable(self._buffer, self._buffer.target(item))

    def text(self, index: int) -> str:
        """Return a string field, ``""`` when it is absent.

        Raises:
            InputError: it is not UTF-8.
        """
        try:
            return self.blob(index).decode("utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"broken FlatBuffer: a name at offset {self._position} is not UTF-8: {error}") from error

    def blob(self, index: int) -> bytes:
        """Return a vector of bytes, ``b""`` when it is absent."""
        first, count = self.span(index)
        return bytes(self._buffer.data[first : first + count])

    def span(self, index: int) -> tuple[int, int]:
        """Return (position, length) of a vector of bytes without reading it; (0, 0) when it is absent."""
        position = self._field(index)
        return (0, 0) if position is None else self._buffer.vector(self._buffer.target(position), 1)

    def integers(self, index: int, kind: str = "i") -> tuple[int, ...]:
        """Return a vector of integers."""
        return tuple(int(value) for value in self._numbers(index, kind))

    def floats(self, index: int) -> tuple[float, ...]:
        """Return a vector of 32-bit floats."""
        return tuple(float(value) for value in self._numbers(index, "f"))

    def _numbers(self, index: int, kind: str) -> tuple[int | float, ...]:
        position = self._field(index)
        if position is None:
            return ()
        first, count = self._buffer.vector(self._buffer.target(position), _FORMATS[kind])
        return struct.unpack_from(f"<{count}{kind}", self._buffer.data, first)
