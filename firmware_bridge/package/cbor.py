"""Strict CBOR: the deterministic subset of RFC 8949 that packages and trust stores are written in.

Owns: that a value has exactly one encoding, and that decoding untrusted bytes is bounded. Knows no schema.

The subset (RFC 8949 section 4.2.1, narrowed): integers of 64 bits, byte and text strings, arrays, maps whose keys are
all text or all unsigned integers and in ascending order of their encoding (so that the length-first order of RFC 7049
is the same one), false, true, null, and finite floats in their shortest exact form; definite lengths and shortest
heads only; no tags. Law: ``encode(decode(data)) == data`` for all accepted data.
"""

from __future__ import annotations

import math
import struct
from typing import TypeAlias, Union

import cbor2

from firmware_bridge.errors import RejectedError
from firmware_bridge.package.reasons import RejectReason

__all__ = ["DEPTH_LIMIT", "Value", "decode", "encode"]

Value: TypeAlias = Union[int, float, bytes, str, bool, list["Value"], dict[int | str, "Value"], None]  # noqa: UP007

DEPTH_LIMIT = 8
"""Deepest nesting; a manifest needs 4. It keeps a run of array heads from exhausting the stack."""

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_SIMPLES: dict[int, bool | None] = {20: False, 21: True, 22: None}
_FLOATS = {25: ">e", 26: ">f", 27: ">d"}


def encode(value: Value) -> bytes:
    """Return the one encoding of ``value``."""
    return cbor2.dumps(value, canonical=True)


def decode(data: bytes) -> Value:
    """Return the value that all of ``data`` encodes.

    Raises:
        RejectedError: CBOR, the bytes are not the strict encoding of one value; the detail names the offset.
    """
    reader = _Reader(data)
    value = reader.value(0)
    if reader.offset != len(data):
        raise reader.error(f"{len(data) - reader.offset} bytes follow the value")
    return value


class _Reader:
    """A position in untrusted bytes; every read is bounds-checked before anything is allocated."""

    __slots__ = ("_data", "offset")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.offset = 0

    def error(self, what: str) -> RejectedError:
        return RejectedError(RejectReason.CBOR, f"{what}, at offset {self.offset}")

    def take(self, size: int) -> bytes:
        if size > len(self._data) - self.offset:
            raise self.error(f"{size} bytes are declared and {len(self._data) - self.offset} remain")
        part = self._data[self.offset : self.offset + size]
        self.offset += size
        return part

    def value(self, depth: int) -> Value:
        if depth > DEPTH_LIMIT:
            raise self.error(f"nested deeper than {DEPTH_LIMIT}")
        initial = self.take(1)[0]
        major, info = initial >> 5, initial & 31
        if major == _SIMPLE:
            return self.simple(info)
        argument = self.argument(info)
        if major == _UNSIGNED:
            return argument
        if major == _NEGATIVE:
            return self.negative(argument)
        if major == _BYTES:
            return self.take(argument)
        if major == _TEXT:
            return self.text(argument)
        if major == _TAG:
            raise self.error(f"tag {argument} is not allowed")
        # Each item takes a byte at least, so a larger count is refused before a list is made for it.
        if argument > len(self._data) - self.offset:
            raise self.error(f"{argument} items are declared and {len(self._data) - self.offset} bytes remain")
        if major == _ARRAY:
            return [self.value(depth + 1) for _ in range(argument)]
        return self.map(argument, depth + 1)

    def argument(self, info: int) -> int:
        """Read a head's argument; only its shortest form is allowed."""
        if info < 24:
            return info
        if info > 27:
            raise self.error("an indefinite length or a reserved head")
        size: int = 1 << (info - 24)
        argument = int.from_bytes(self.take(size), "big")
        if argument < (24 if size == 1 else 1 << (4 * size)):
            raise self.error(f"{argument} is not in its shortest form")
        return argument

    def negative(self, argument: int) -> int:
        if argument >= 1 << 63:
            raise self.error("a negative integer beyond 64 bits")
        return -1 - argument

    def text(self, size: int) -> str:
        try:
            return self.take(size).decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.error("text is not UTF-8") from error

    def simple(self, info: int) -> Value:
        if info in _SIMPLES:
            return _SIMPLES[info]
        if info not in _FLOATS:
            raise self.error(f"the simple value {info} is not allowed")
        number: float = struct.unpack(_FLOATS[info], self.take(1 << (info - 24)))[0]
        if not math.isfinite(number):
            raise self.error("a float is not finite")
        if info != _shortest_float(number):
            raise self.error(f"the float {number!r} is not in its shortest form")
        return number

    def map(self, count: int, depth: int) -> dict[int | str, Value]:
        found: dict[int | str, Value] = {}
        previous = b""
        for _ in range(count):
            start = self.offset
            key = self.value(depth)
            encoded = self._data[start : self.offset]
            if isinstance(key, bool) or not isinstance(key, int | str) or encoded[0] >> 5 == _NEGATIVE:
                raise self.error("a map key is neither an unsigned integer nor text")
            if previous and previous[0] >> 5 != encoded[0] >> 5:
                raise self.error("the keys of a map are of two types")
            if encoded <= previous:
                raise self.error("map keys are repeated or out of order")
            found[key] = self.value(depth)
            previous = encoded
        return found


def _shortest_float(number: float) -> int:
    """Return the additional information of the shortest head that keeps ``number`` exactly."""
    for info in (25, 26):
        try:
            if struct.unpack(_FLOATS[info], struct.pack(_FLOATS[info], number))[0] == number:
                return info
        except OverflowError:
            continue
    return 27
