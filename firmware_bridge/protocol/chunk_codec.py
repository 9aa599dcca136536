"""The wire form of `Chunk`, which carries nearly every byte of a push, read and written without a copy of its data.

The same bytes as `firmware_bridge.protocol.codec` gives, which knows every message and checks the one encoding by
encoding again. Laws: ``b"".join(encode_chunk(c)) == codec.encode(c)``, and ``decode_chunk(b)`` is ``codec.decode(b)``
or None.
"""

from __future__ import annotations

from firmware_bridge.protocol.messages import Chunk

__all__ = ["CHUNK_NUMBER", "decode_chunk", "encode_chunk"]

CHUNK_NUMBER = 6
"""Its number on the wire."""

_BEGIN = bytes([0x84, CHUNK_NUMBER])  # an array of four: number, index, data, deflated
_UNSIGNED, _BYTES = 0x00, 0x40  # major types of CBOR (RFC 8949, 3.1)
_BOOLS = {0xF4: False, 0xF5: True}
_SIZES = {24: 1, 25: 2, 26: 4, 27: 8}  # bytes of the number that follows, by the low bits of the head


def encode_chunk(chunk: Chunk) -> tuple[bytes, bytes, bytes]:
    """Return the encoding in three parts, of which the second is ``chunk.data`` itself."""
    return _before_data(chunk.index, len(chunk.data)), chunk.data, b"\xf5" if chunk.deflated else b"\xf4"


def decode_chunk(data: memoryview) -> Chunk | None:
    """Return the chunk in ``data``, or None when that is anything but a chunk in its one encoding."""
    if data[:2] != _BEGIN or data[-1] not in _BOOLS:
        return None
    index, at = _number(data, 2, _UNSIGNED)
    size, at = _number(data, at, _BYTES)
    if index is None or size is None or at + size + 1 != len(data) or data[:at] != _before_data(index, size):
        return None
    return Chunk(index, bytes(data[at:-1]), _BOOLS[data[-1]])


def _before_data(index: int, size: int) -> bytes:
    return _BEGIN + _head(_UNSIGNED, index) + _head(_BYTES, size)


def _head(major: int, value: int) -> bytes:
    if value < 24:
        return bytes([major | value])
    size = next(size for size in _SIZES.values() if value < 1 << 8 * size)
    return bytes([major | 23 + size.bit_length()]) + value.to_bytes(size, "big")


def _number(data: memoryview, at: int, major: int) -> tuple[int | None, int]:
    """Return the number at ``at``, or None where there is none of this major type, and where what follows begins."""
    low = data[at] ^ major if at < len(data) else 0xFF
    if low < 24:
        return low, at + 1
    end = at + 1 + _SIZES.get(low, len(data))
    return (int.from_bytes(data[at + 1 : end], "big"), end) if end < len(data) else (None, end)
