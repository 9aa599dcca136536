"""Messages in the byte stream of a session: each one with its length before it. Knows nothing of frames."""

from __future__ import annotations

import struct
from collections import deque

from firmware_bridge.errors import ProtocolError
from firmware_bridge.protocol import codec
from firmware_bridge.protocol.messages import Hello, Message, Welcome

__all__ = ["MessageReader", "with_length"]

_LENGTH = struct.Struct("<I")


def with_length(message: Message, version: int) -> bytes:
    """Return ``message`` as it goes into the stream to a peer that speaks ``version``.

    Raises:
        ProtocolError: it is too large.
    """
    data = codec.encode(message, version)
    return _LENGTH.pack(len(data)) + data


class MessageReader:
    """Cuts the stream into messages, and holds them until they are fetched.

    Attributes:
        held_bytes: the part of the stream that they take up: room that the sender does not have.
    """

    def __init__(self) -> None:
        """Begin at the start of a stream."""
        self.held_bytes = 0
        self._greeted = False
        self._partial = bytearray()
        self._messages: deque[tuple[Message, int]] = deque()

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes of the stream.

        Raises:
            ProtocolError: they are no messages.
        """
        buffer = self._partial
        buffer += data
        at = 0
        while len(buffer) - at >= _LENGTH.size:
            length = _LENGTH.unpack_from(buffer, at)[0]
            limit = codec.MAX_MESSAGE_BYTES if self._greeted else codec.MAX_GREETING_BYTES
            if length > limit:
                raise ProtocolError(f"a message of {length} bytes is announced, the limit is {limit} here")
            end = at + _LENGTH.size + length
            if len(buffer) < end:
                break
            message = codec.decode(bytes(memoryview(buffer)[at + _LENGTH.size : end]), greeted=self._greeted)
            self._greeted |= isinstance(message, Hello | Welcome)
            self._messages.append((message, end - at))
            self.held_bytes += end - at
            at = end
        del buffer[:at]

    def next(self) -> Message | None:
        """Return the next message, or None when none is complete."""
        if not self._messages:
            return None
        message, size_bytes = self._messages.popleft()
        self.held_bytes -= size_bytes
        return message

    def clear(self) -> None:
        """Forget what was not fetched."""
        self._messages.clear()
