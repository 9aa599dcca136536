"""Frames: the layout of each kind, and their CRC-32.

A frame is ``COBS(kind | fields | CRC-32) 0x00``, or, once both ends of a reliable pipe have agreed on it, the length of
``kind | fields | CRC-32`` and those bytes as they are. The CRC starts from the session's number, so frames of an
earlier session fail it without spending a byte on that. Knows nothing of order, loss or messages.

Round-trip law: ``unpack(body, key) == frame`` for the body that `reader.FrameReader` finds in ``pack(frame, key)``.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from firmware_bridge.errors import ProtocolError
from firmware_bridge.protocol import cobs
from firmware_bridge.protocol.reader import PREFIX
from firmware_bridge.text import clean_text

__all__ = [
    "DATA_OVERHEAD_BYTES",
    "FROM_BOARD",
    "Ack",
    "Close",
    "Data",
    "Frame",
    "Kind",
    "Open",
    "Opened",
    "Ping",
    "PrefixRequest",
    "PrefixStart",
    "RateAnswer",
    "RateRequest",
    "is_intact",
    "pack",
    "unpack",
]

FROM_BOARD = 0x80
"""Bit of the kind byte that distinguishes the directions, so that the echo of a line is recognised and ignored."""

DATA_OVERHEAD_BYTES = 1 + 2 + 4 + 4 + 1
"""What a `Data` frame adds to its payload before stuffing: kind, number, sequence, CRC, and the final zero byte."""

_CRC = struct.Struct("<I")
_OPEN = struct.Struct("<BBIIII")
_DATA = struct.Struct("<BHI")
_ACK = struct.Struct("<BHII")
_PING = struct.Struct("<BH")
_RATE = struct.Struct("<BI")
_BAUD = struct.Struct("<I")
_BAUDS_MAX = 16
_CLOSE_TEXT_BYTES = 200  # a reason is one line


class Kind(IntEnum):
    """The kind byte without its direction bit; from 0x40 on they are optional: who does not know one ignores it."""

    OPEN = 1
    OPENED = 2
    DATA = 3
    ACK = 4
    PING = 5
    CLOSE = 6
    RATE_REQUEST = 0x40
    RATE_ANSWER = 0x41
    PREFIX_REQUEST = 0x42
    PREFIX_START = 0x43


@dataclass(frozen=True, slots=True)
class Open:
    """The host requests a new session, or the board grants it (as `Opened`).

    Attributes:
        version: of the framing and the window, not of the messages.
        session: number that the host drew for this session; it seeds the CRC of the session's other frames.
        segment_bytes: how the byte stream is cut, both ways.
        window_segments: how many segments the sender of this frame can hold.
        frame_bytes: largest payload of one `Data` frame that the sender of this frame takes.
    """

    version: int
    session: int
    segment_bytes: int
    window_segments: int
    frame_bytes: int


@dataclass(frozen=True, slots=True)
class Opened(Open):
    """The board's answer to `Open`: the same session, its own sizes."""


@dataclass(frozen=True, slots=True)
class Data:
    """Part of the byte stream.

    Attributes:
        number: counts transmissions (modulo 2**16), never reused for a repetition.
        sequence: of the first segment in ``payload``; all its segments but the last are full.
        payload: one or more segments.
    """

    number: int
    sequence: int
    payload: bytes | memoryview


@dataclass(frozen=True, slots=True)
class Ack:
    """What has arrived, and how much more may come.

    Attributes:
        echo: number of the newest `Data` or `Ping` received.
        expected: first segment not received yet.
        limit: first segment that must not be sent yet (the credit, absolute: a lost `Ack` does no harm).
        bitmap: bit ``i`` (LSB first) is set when segment ``expected + 1 + i`` has been received.
    """

    echo: int
    expected: int
    limit: int
    bitmap: bytes


@dataclass(frozen=True, slots=True)
class Ping:
    """Requests an immediate `Ack`; numbered like `Data`."""

    number: int


@dataclass(frozen=True, slots=True)
class Close:
    """The sender ends the session; ``reason`` is one line for people, often empty."""

    reason: str


@dataclass(frozen=True, slots=True)
class RateRequest:
    """The host requests another line rate: one of ``bauds``, in order of preference."""

    bauds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class RateAnswer:
    """The board's answer: the rate that its line has from now on; 0 when it can do none of those requested."""

    baud: int


@dataclass(frozen=True, slots=True)
class PrefixRequest:
    """The host can read prefixed frames, and would rather have them than stuffed ones."""


@dataclass(frozen=True, slots=True)
class PrefixStart:
    """After this frame, the last stuffed one of its sender in this session, all are prefixed."""


Frame: TypeAlias = Open | Data | Ack | Ping | Close | RateRequest | RateAnswer | PrefixRequest | PrefixStart


def pack(frame: Frame, key: int, *, from_board: bool, prefixed: bool = False) -> bytes:
    """Return ``frame`` as it goes onto the wire.

    Args:
        frame: what to send.
        key: the session's number; `Open` and `Opened` do not use it.
        from_board: who sends.
        prefixed: whether its length comes first, instead of being stuffed.
    """
    flag = FROM_BOARD if from_board else 0
    payload: bytes | memoryview = b""
    match frame:
        case Open():
            kind = Kind.OPENED if isinstance(frame, Opened) else Kind.OPEN
            sizes = (frame.segment_bytes, frame.window_segments, frame.frame_bytes)
            body, key = _OPEN.pack(kind | flag, frame.version, frame.session, *sizes), 0
        case Data():
            body = _DATA.pack(Kind.DATA | flag, frame.number, frame.sequence)
            payload = frame.payload
        case Ack():
            body = _ACK.pack(Kind.ACK | flag, frame.echo, frame.expected, frame.limit) + frame.bitmap
        case Ping():
            body = _PING.pack(Kind.PING | flag, frame.number)
        case Close():
            text = frame.reason.encode()[:_CLOSE_TEXT_BYTES].decode(errors="ignore")  # no half of a character
            body = bytes([Kind.CLOSE | flag]) + text.encode()
        case RateRequest():
            body = bytes([Kind.RATE_REQUEST | flag]) + b"".join(map(_BAUD.pack, frame.bauds[:_BAUDS_MAX]))
        case RateAnswer():
            body = _RATE.pack(Kind.RATE_ANSWER | flag, frame.baud)
        case PrefixRequest():
            body = bytes([Kind.PREFIX_REQUEST | flag])
        case PrefixStart():
            body = bytes([Kind.PREFIX_START | flag])
    check = _CRC.pack(zlib.crc32(payload, zlib.crc32(body, key)))
    if prefixed:
        return b"".join((PREFIX.pack(len(body) + len(payload) + _CRC.size), body, payload, check))
    return cobs.encode(b"".join((body, payload, check)))


def is_intact(body: bytes | memoryview, key: int) -> bool:
    """Return whether ``body`` is a frame of session ``key`` as it was sent, of a kind that is known or not."""
    return bool(zlib.crc32(memoryview(body)[: -_CRC.size], key) == _CRC.unpack_from(body, len(body) - _CRC.size)[0])


def unpack(body: bytes | memoryview, key: int, *, from_board: bool) -> Frame | None:
    """Return the frame in an unstuffed ``body``, or None when it is damaged, of another session, or an optional kind.

    Args:
        body: kind, fields and CRC.
        key: the session's number.
        from_board: the direction that is expected.

    Raises:
        ProtocolError: the CRC is right and the layout is not: the peer speaks another protocol.
    """
    if len(body) < 1 + _CRC.size:
        return None
    kind, content = body[0], memoryview(body)[: -_CRC.size]
    if bool(kind & FROM_BOARD) != from_board:
        return None
    kind &= ~FROM_BOARD
    seed = 0 if kind in (Kind.OPEN, Kind.OPENED) else key
    if zlib.crc32(content, seed) != _CRC.unpack_from(body, len(content))[0]:
        return None
    try:
        return _parse(kind, content)
    except (struct.error, UnicodeDecodeError) as error:
        raise ProtocolError(f"a frame of kind {kind} has a wrong layout ({len(content)} bytes): {error}") from error


def _parse(kind: int, content: bytes | memoryview) -> Frame | None:
    if kind == Kind.DATA:
        _, number, sequence = _DATA.unpack_from(content)
        return Data(number, sequence, content[_DATA.size :])
    if kind == Kind.ACK:
        _, echo, expected, limit = _ACK.unpack_from(content)
        return Ack(echo, expected, limit, bytes(content[_ACK.size :]))
    if kind == Kind.PING:
        return Ping(_PING.unpack(content)[1])
    if kind in (Kind.OPEN, Kind.OPENED):
        _, *fields = _OPEN.unpack(content)
        return (Opened if kind == Kind.OPENED else Open)(*fields)
    if kind == Kind.CLOSE:
        return Close(clean_text(str(content[1:], "utf-8"), _CLOSE_TEXT_BYTES))
    if kind == Kind.RATE_REQUEST:
        return RateRequest(tuple(baud for (baud,) in _BAUD.iter_unpack(content[1:])))
    if kind == Kind.RATE_ANSWER:
        return RateAnswer(_RATE.unpack(content)[1])
    if kind == Kind.PREFIX_REQUEST:
        return PrefixRequest()
    if kind == Kind.PREFIX_START:
        return PrefixStart()
    return None
