"""Finding frames in a stream of bytes: stuffed ones among anything else, or, once agreed, ones with their length first.

Stuffed frames end at a zero byte, so the next one is found after a boot log, a login prompt, a damaged frame. Prefixed
frames cost nothing to find, and only a pipe that repairs losses can carry them: a wrong length cannot be skipped.
Knows nothing of what is in a frame.

Round-trip laws: ``FrameReader(cap).feed(encode(body)) == [body]`` for every body of at most ``cap`` bytes, and the same
for ``prefixed(body)`` of at least `SHORTEST_BODY_BYTES` bytes after `FrameReader.use_prefixed`.
"""

from __future__ import annotations

import struct

from firmware_bridge.errors import ProtocolError
from firmware_bridge.protocol import cobs

__all__ = ["PREFIX", "SHORTEST_BODY_BYTES", "FrameReader"]

PREFIX = struct.Struct("<I")
"""The length of a prefixed frame's body, before it."""

SHORTEST_BODY_BYTES = 1 + 4
"""A kind and a CRC-32: the shortest frame."""

_SAMPLE_BYTES = 120  # garbage kept for an error text: about one line of a boot log


class FrameReader:
    """Finds frames in a stream of bytes. A new reader finds stuffed ones, and skips anything else.

    Attributes:
        is_prefixed: whether it finds prefixed frames instead.
        garbage_bytes: bytes that belonged to no well-formed frame.
        sample: the last of them, for an error text.
    """

    def __init__(self, cap_bytes: int) -> None:
        """Create a reader.

        Args:
            cap_bytes: longest body; a COBS frame that grows beyond it is discarded, and a prefixed one is an
                error before any of it is buffered.
        """
        self.is_prefixed = False
        self.garbage_bytes = 0
        self.sample = b""
        self._cap_bytes = cap_bytes
        # COBS adds one byte for each block, and one.
        self._stuffed_cap_bytes = cap_bytes + cap_bytes // cobs.BLOCK_BYTES + 2
        self._data = b""  # what has arrived last
        self._at = 0  # how much of it was looked at
        self._partial = bytearray()  # of a frame, from what has arrived before
        self._overlong = False

    def put(self, data: bytes) -> None:
        """Take what has arrived; to be called when `next_body` has returned None."""
        self._data, self._at = data, 0

    def next_body(self) -> bytes | memoryview | None:
        """Return the body of the next complete frame, or None.

        Raises:
            ProtocolError: a prefixed frame has a length that no frame has.
        """
        return self._next_prefixed() if self.is_prefixed else self._next_stuffed()

    def feed(self, data: bytes) -> list[bytes | memoryview]:
        """Take what has arrived and return the bodies of the frames that it completes."""
        self.put(data)
        return list(iter(self.next_body, None))

    def use_prefixed(self) -> None:
        """From the next byte on, frames have their length first."""
        self.is_prefixed = True

    def use_cobs(self) -> None:
        """From the next byte on, frames are COBS-encoded; an incomplete prefixed frame is discarded."""
        if self.is_prefixed:
            self._partial.clear()
        self.is_prefixed = False

    def drop(self) -> None:
        """Forget what has arrived."""
        self._partial.clear()
        self._at = len(self._data)

    def _next_stuffed(self) -> bytes | None:
        while (end := self._data.find(0, self._at)) >= 0:
            stuffed = bytes(self._partial) + self._data[self._at : end]
            self._at = end + 1
            self._partial.clear()
            overlong, self._overlong = self._overlong or len(stuffed) > self._stuffed_cap_bytes, False
            if not stuffed:
                continue
            body = None if overlong else cobs.decode(stuffed)
            if body is not None:
                return body
            self.discard(stuffed)
        self._partial += self._data[self._at :]
        self._at = len(self._data)
        if len(self._partial) > self._stuffed_cap_bytes:
            self.discard(self._partial)
            self._partial.clear()
            self._overlong = True
        return None

    def _next_prefixed(self) -> bytes | memoryview | None:
        data, at = self._data, self._at
        body_at = at + PREFIX.size
        if not self._partial and body_at <= len(data):
            end = body_at + self._length(data, at)
            if end <= len(data):  # the usual case: nothing is copied
                self._at = end
                return memoryview(data)[body_at:end]
        if self._collect(PREFIX.size) and self._collect(PREFIX.size + self._length(self._partial, 0)):
            body = memoryview(self._partial)[PREFIX.size :]
            self._partial = bytearray()
            return body
        return None

    def _length(self, data: bytes | bytearray, at: int) -> int:
        length = int(PREFIX.unpack_from(data, at)[0])
        if not SHORTEST_BODY_BYTES <= length <= self._cap_bytes:
            raise ProtocolError(
                f"a frame of {length} bytes is announced; here a frame has {SHORTEST_BODY_BYTES} to {self._cap_bytes}"
            )
        return length

    def _collect(self, size_bytes: int) -> bool:
        """Collect the first ``size_bytes`` of a frame, and no more; returns whether they have arrived."""
        end = self._at + max(0, size_bytes - len(self._partial))
        self._partial += memoryview(self._data)[self._at : end]
        self._at = min(end, len(self._data))
        return len(self._partial) >= size_bytes

    @property
    def waiting(self) -> bytes:
        """What has arrived of a frame that is not complete (or of a prompt that never will be)."""
        return bytes(self._partial[-_SAMPLE_BYTES:])

    def discard(self, data: bytes | bytearray | memoryview) -> None:
        """Count ``data`` as garbage."""
        self.garbage_bytes += len(data)
        self.sample = (self.sample + bytes(data[-_SAMPLE_BYTES:]))[-_SAMPLE_BYTES:]
