"""Bounds on untrusted CBOR, checked over its heads alone before a decoder builds anything.

Accepts the deterministic encoding (RFC 8949, 4.2.1) of arrays, texts, byte strings, 64-bit integers, booleans, null and
doubles, and nothing else: no map, no tag, no indefinite length. So a decoder that follows needs memory in proportion
to the bytes, and each value has one encoding. Knows no messages.
"""

from __future__ import annotations

import math
import struct

from firmware_bridge.errors import ProtocolError

__all__ = ["check_cbor"]

_TEXT_OR_BYTES, _ARRAY = (2, 3), 4
_PLAIN = frozenset(b"\xf4\xf5\xf6")  # false, true, null
_SPECIALS = frozenset({b"\x7e\x00", b"\x7c\x00", b"\xfc\x00"})  # NaN and infinities, which have a short form only
_HALF, _DOUBLE = 0xF9, 0xFB


def check_cbor(data: bytes, *, max_items: int, max_depth: int) -> None:
    """Check that ``data`` is one item with at most ``max_items`` items in all, ``max_depth`` arrays deep.

    Raises:
        ProtocolError: it is not.
    """
    open_arrays = [1]  # how many items each array that has begun still lacks, the outermost first
    at = items = 0
    while open_arrays:
        if not open_arrays[-1]:
            open_arrays.pop()
            continue
        open_arrays[-1] -= 1
        items += 1
        if items > max_items:
            raise ProtocolError(f"a message has more than {max_items} items")
        if at >= len(data):
            raise ProtocolError("a message is not CBOR: it ends within a value")
        initial = data[at]
        if initial in _PLAIN:
            at += 1
        elif initial >> 5 == 7:
            at = _after_float(data, at)
        else:
            argument, at = _argument(data, at)
            if initial >> 5 in _TEXT_OR_BYTES:
                at += argument
            elif initial >> 5 == _ARRAY:
                if len(open_arrays) > max_depth:
                    raise ProtocolError(f"a message is nested deeper than {max_depth}")
                open_arrays.append(argument)
            elif initial >> 5 > _ARRAY:
                raise ProtocolError("a message contains a map or a tag")
    if at != len(data):
        raise ProtocolError("a message is not CBOR: its length is not that of its value")


def _argument(data: bytes, at: int) -> tuple[int, int]:
    """Return a head's argument, which has its shortest form, and where the head ends."""
    info = data[at] & 31
    if info < 24:
        return info, at + 1
    if info > 27:
        raise ProtocolError("a message has an indefinite length or a reserved head")
    size = 1 << info - 24
    argument = int.from_bytes(data[at + 1 : at + 1 + size], "big")
    if at + 1 + size > len(data) or argument < (24 if size == 1 else 1 << 4 * size):
        raise ProtocolError("a message is not in its canonical encoding")
    return argument, at + 1 + size


def _after_float(data: bytes, at: int) -> int:
    size = {_HALF: 2, _DOUBLE: 8}.get(data[at], 0)
    number = bytes(data[at + 1 : at + 1 + size])
    special = number in _SPECIALS if size == 2 else size == 8 == len(number) and math.isfinite(_double(number))
    if not special:
        raise ProtocolError("a message contains a simple value that no field has, or a non-canonical float")
    return at + 1 + size


def _double(number: bytes) -> float:
    return float(struct.unpack(">d", number)[0])
