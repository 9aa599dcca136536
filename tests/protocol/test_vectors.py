"""The page on the protocol says what the code does: its test vectors and its table of messages."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from firmware_bridge.protocol import codec
from firmware_bridge.protocol import messages as m
from firmware_bridge.protocol.frames import (
    Ack,
    Close,
    Data,
    Open,
    Opened,
    Ping,
    PrefixRequest,
    PrefixStart,
    RateAnswer,
    RateRequest,
    pack,
    unpack,
)
from firmware_bridge.protocol.reader import FrameReader

PAGE = Path(__file__).parents[2] / "docs/protocol.md"
SESSION = 0x12345678
HELLO = m.Hello(1, "bench")
STREAM = struct.pack("<I", len(codec.encode(HELLO))) + codec.encode(HELLO)
MEANT = {
    'message Hello(1, "bench")': HELLO,
    'message Welcome(1, "ks100", "M0001")': m.Welcome(1, "ks100", "M0001"),
    'message Busy(12.0, "bench 3")': m.Busy(12.0, "bench 3"),
    "Open(1, session, 128, 512, 4096)": Open(1, SESSION, 128, 512, 4096),
    "Opened(1, session, 128, 512, 4096)": Opened(1, SESSION, 128, 512, 4096),
    "Data(1, 0, length and message Hello)": Data(1, 0, STREAM),
    "Ack(1, 1, 513, empty)": Ack(1, 1, 513, b""),
    "Ack(9, 3, 515, bitmap 05)": Ack(9, 3, 515, b"\x05"),
    "Ping(2)": Ping(2),
    'Close("done")': Close("done"),
    "RateRequest(3000000, 2000000)": RateRequest((3_000_000, 2_000_000)),
    "RateAnswer(3000000)": RateAnswer(3_000_000),
    "PrefixRequest()": PrefixRequest(),
    "PrefixStart()": PrefixStart(),
}
VECTORS = re.findall(r"^\| (.+?)(?: from the (host|board))? \| ([0-9a-f]{8,}) \|$", PAGE.read_text(), re.MULTILINE)


def test_the_page_has_every_vector():
    assert {what for what, _, _ in VECTORS} == set(MEANT)


@pytest.mark.parametrize(("what", "sender", "wire"), VECTORS)
def test_a_vector_of_the_page_is_what_the_code_sends_and_takes(what, sender, wire):
    meant, data = MEANT[what], bytes.fromhex(wire)
    if isinstance(meant, m.Message):
        assert codec.encode(meant) == data
        assert codec.decode(data) == meant
        return
    assert pack(meant, SESSION, from_board=sender == "board") == data
    [body] = FrameReader(2000).feed(data)
    assert unpack(body, SESSION, from_board=sender == "board") == meant


def test_the_table_of_messages_has_every_message_with_its_number():
    text = PAGE.read_text()
    for kind, number in codec.NUMBERS.items():
        pattern = rf"\b{kind.__name__} \| {number} \|" if number < 64 else rf"\b{kind.__name__}`? \(?{number}\b"
        assert re.search(pattern, text), f"{kind.__name__} {number} is not on the page"
