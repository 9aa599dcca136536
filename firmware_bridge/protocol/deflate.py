"""Chunks on the wire: raw DEFLATE (RFC 1951) where it helps, inflated with a bound. Knows nothing of packages."""

from __future__ import annotations

import zlib

from firmware_bridge.errors import ProtocolError
from firmware_bridge.protocol.messages import Chunk

__all__ = ["MAX_CHUNK_BYTES", "chunk_data", "chunk_message"]

MAX_CHUNK_BYTES = 256 * 1024
"""Largest chunk; sixteen times the usual one, and small enough to inflate on any board."""

_RAW = -15  # zlib's name for DEFLATE without a header
_LEVEL = 6
_WORTH = 0.97  # a chunk that shrinks by less is sent as it is


def chunk_message(index: int, data: bytes, *, compress: bool) -> Chunk:
    """Return the message for one chunk, deflated when that is allowed and makes it smaller."""
    if compress:
        deflate = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW)
        small = deflate.compress(data) + deflate.flush()
        if len(small) < _WORTH * len(data):
            return Chunk(index, small, deflated=True)
    return Chunk(index, data, deflated=False)


def chunk_data(chunk: Chunk) -> bytes:
    """Return the bytes of a chunk.

    Raises:
        ProtocolError: it is too large, or not one complete DEFLATE stream.
    """
    if not chunk.deflated:
        data = chunk.data
    else:
        inflate = zlib.decompressobj(_RAW)
        try:
            data = inflate.decompress(chunk.data, MAX_CHUNK_BYTES + 1)
        except zlib.error as error:
            raise ProtocolError(f"chunk {chunk.index} does not inflate: {error}") from error
        if len(data) <= MAX_CHUNK_BYTES and (not inflate.eof or inflate.unused_data):
            raise ProtocolError(f"chunk {chunk.index} is not one complete DEFLATE stream")
    if len(data) > MAX_CHUNK_BYTES:
        raise ProtocolError(f"chunk {chunk.index} has more than {MAX_CHUNK_BYTES} bytes")
    return data
