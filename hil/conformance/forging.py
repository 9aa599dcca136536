"""An end of a session that sends what no end should: any bytes in the place of a message. For either role."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from firmware_bridge.protocol.connection import Connection
from firmware_bridge.protocol.messages import Message

__all__ = ["Bytes", "ForgingConnection"]

_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Bytes(Message):
    """Any bytes in the place of a message; ``length`` is announced instead of theirs."""

    data: bytes
    length: int | None = None


class ForgingConnection(Connection):
    """A connection that also sends `Bytes`."""

    def send(self, message: Message, *, more: bool = False) -> int:
        """See `Connection.send`."""
        if isinstance(message, Bytes):
            length = len(message.data) if message.length is None else message.length
            return self._out.write(_LENGTH.pack(length) + message.data, more=more)
        return super().send(message, more=more)
