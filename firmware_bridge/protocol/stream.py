"""Messages in the byte stream of a session: each one with its length before it. Knows nothing of frames."""

from __future__ import annotations

import struct
import threading
from collections import deque

from firmware_bridge.errors import ProtocolError
from firmware_bridge.protocol import codec
from firmware_bridge.protocol.chunk_codec import decode_chunk, encode_chunk
from firmware_bridge.protocol.deflate import MAX_CHUNK_BYTES
from firmware_bridge.protocol.messages import Chunk, Hello, Message, Welcome

__all__ = ["MemoryBudget", "MessageReader", "with_length"]

_LENGTH = struct.Struct("<I")
_SHORT_BYTES = 256  # up to here two copies cost nothing


def with_length(message: Message, version: int) -> tuple[bytes, ...]:
    """Return ``message`` as it goes into the stream to a peer that speaks ``version``, in parts.

    Raises:
        ProtocolError: it is too large.
    """
    parts: tuple[bytes, ...]
    if isinstance(message, Chunk) and message.index >= 0 and len(message.data) <= MAX_CHUNK_BYTES:
        parts = encode_chunk(message)
    else:
        parts = (codec.encode(message, version),)
    return (_LENGTH.pack(sum(map(len, parts))), *parts)


class MemoryBudget:
    """What long messages that are still arriving may take in all sessions of one end together; for several threads."""

    def __init__(self, total_bytes: int) -> None:
        """Begin with all of it free."""
        self._guard = threading.Lock()
        self._total_bytes = self._free_bytes = total_bytes

    def take(self, size_bytes: int) -> None:
        """Reserve memory for one message.

        Raises:
            ProtocolError: there is not so much.
        """
        with self._guard:
            if size_bytes > self._free_bytes:
                raise ProtocolError(
                    f"there is no memory for a message of {size_bytes} bytes now: {self._free_bytes} of "
                    f"{self._total_bytes} are free; try again when other sessions have ended"
                )
            self._free_bytes -= size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Free what `take` has reserved."""
        with self._guard:
            self._free_bytes += size_bytes


class MessageReader:
    """Cuts the stream into messages, and buffers them until they are fetched.

    Attributes:
        buffered_bytes: their size in the stream, which the sender's credit excludes.
        greeted: whether a `Hello` or `Welcome` has come.
    """

    def __init__(self, budget: MemoryBudget | None = None) -> None:
        """Begin at the start of a stream; what a long message may take comes out of ``budget``."""
        self.buffered_bytes = 0
        self.greeted = False
        self._budget = budget
        self._reserved_bytes = 0
        self._partial = bytearray()  # of a length or a message, from what has arrived before
        self._length: int | None = None  # of the message that comes next, once it is known
        self._messages: deque[tuple[Message, int]] = deque()

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the stream.

        Raises:
            ProtocolError: the bytes are not messages.
        """
        left = memoryview(data)
        while len(left) >= (missing := self._due_bytes - len(self._partial)):
            whole, left = left[:missing], left[missing:]
            if self._partial:
                whole = memoryview(self._partial + whole)
                self._partial = bytearray()
            if self._length is None:
                self._length = self._checked_length(whole)
            else:
                self._append(whole)
                self._length = None
        self._partial += left
        if self._length is not None:
            self._reserve(self._length)

    @property
    def _due_bytes(self) -> int:
        return _LENGTH.size if self._length is None else self._length

    def _checked_length(self, data: memoryview) -> int:
        length = int(_LENGTH.unpack(data)[0])
        limit = codec.MAX_MESSAGE_BYTES if self.greeted else codec.MAX_GREETING_BYTES
        if length > limit:
            raise ProtocolError(f"a message of {length} bytes is announced, the limit is {limit} here")
        return length

    def _append(self, data: memoryview) -> None:
        message: Message | None = decode_chunk(data) if self.greeted and len(data) > _SHORT_BYTES else None
        message = message or codec.decode(bytes(data), greeted=self.greeted)
        self.greeted |= isinstance(message, Hello | Welcome)
        size_bytes = _LENGTH.size + len(data)
        self._messages.append((message, size_bytes))
        self.buffered_bytes += size_bytes
        self._release()

    def next(self) -> Message | None:
        """Return the next message, or None when none is complete."""
        if not self._messages:
            return None
        message, size_bytes = self._messages.popleft()
        self.buffered_bytes -= size_bytes
        return message

    def clear(self) -> None:
        """Forget what was not fetched, and what has come of a message."""
        self._messages.clear()
        self._partial.clear()
        self._length = None
        self._release()

    def _reserve(self, length: int) -> None:
        """Reserve the memory of a message in pieces, once."""
        if self._budget is None or self._reserved_bytes or length <= codec.MAX_GREETING_BYTES:
            return
        self._budget.take(length)
        self._reserved_bytes = length

    def _release(self) -> None:
        if self._budget is not None and self._reserved_bytes:
            self._budget.give_back(self._reserved_bytes)
            self._reserved_bytes = 0
