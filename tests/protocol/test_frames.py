"""Frames: round trip, the delimiter, and what damage does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.errors import ProtocolError
from firmware_bridge.protocol import cobs
from firmware_bridge.protocol.frames import (
    Ack,
    Close,
    Data,
    Open,
    Opened,
    Ping,
    pack,
    unpack,
)
from firmware_bridge.protocol.reader import FrameReader
from firmware_bridge.text import clean_text

u8, u16, u32 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32))
bodies = st.one_of(
    st.binary(max_size=1200),
    st.lists(st.sampled_from([0, 1, 255]), max_size=1200).map(bytes),
    st.tuples(st.integers(0, 1100), st.binary(max_size=5)).map(lambda t: b"x" * t[0] + t[1]),
)
frames = st.one_of(
    st.builds(Open, u8, u32, u32, u32, u32),
    st.builds(Opened, u8, u32, u32, u32, u32),
    st.builds(Data, u16, u32, st.binary(min_size=1, max_size=1024)),
    st.builds(Ack, u16, u32, u32, st.binary(max_size=64)),
    st.builds(Ping, u16),
    st.builds(Close, st.text(max_size=50).map(clean_text)),
)


@given(bodies)
def test_unstuffing_gives_back_every_body_and_the_zero_byte_only_ends_it(body):
    stuffed = cobs.encode(body)
    assert stuffed.count(0) == 1
    assert stuffed.endswith(b"\0")
    assert cobs.decode(stuffed[:-1]) == body
    assert len(stuffed) <= len(body) + len(body) // 254 + 2


@pytest.mark.parametrize(
    ("body", "stuffed"),
    [
        (b"", "01"),
        (b"\0", "0101"),
        (b"\0\0", "010101"),
        (b"\0\x11\0", "01021101"),
        (b"\x11\x22\0\x33", "0311220233"),
        (bytes(range(1, 255)) + b"\xff", "ff" + bytes(range(1, 255)).hex() + "02ff"),
        (b"\0" + bytes(range(1, 255)), None),
    ],
)
def test_published_examples_of_the_encoding(body, stuffed):
    if stuffed is not None:
        assert cobs.encode(body)[:-1].hex() == stuffed
    assert cobs.decode(cobs.encode(body)[:-1]) == body


def test_a_last_full_block_is_accepted_with_and_without_an_empty_one_after_it():
    body = bytes(range(1, 255))
    assert cobs.decode(b"\xff" + body) == body
    assert cobs.decode(b"\xff" + body + b"\x01") == body


@given(frames, u32, st.booleans())
def test_every_frame_comes_back_under_its_own_session_and_direction_only(frame, key, from_board):
    reader = FrameReader(2000)
    [body] = reader.feed(pack(frame, key, from_board=from_board))
    assert unpack(body, key, from_board=from_board) == frame
    assert unpack(body, key, from_board=not from_board) is None
    if not isinstance(frame, Open):
        assert unpack(body, key ^ 1, from_board=from_board) is None


@settings(max_examples=50)
@given(frames, st.data())
def test_no_single_damaged_byte_is_believed(frame, data):
    wire = bytearray(pack(frame, 7, from_board=False))
    at = data.draw(st.integers(0, len(wire) - 1))
    wire[at] ^= data.draw(st.integers(1, 255))
    for body in FrameReader(2000).feed(bytes(wire) + b"\0"):
        assert unpack(body, 7, from_board=False) is None


@given(st.lists(bodies, max_size=8), st.integers(1, 50))
def test_frames_are_found_however_the_bytes_are_cut(many, step):
    wire = b"".join(map(cobs.encode, many))
    reader = FrameReader(4000)
    found = [body for at in range(0, len(wire), step) for body in reader.feed(wire[at : at + step])]
    assert found == many


@given(st.binary(max_size=3000).map(lambda b: b.replace(b"\0", b"\x01")), bodies)
def test_a_frame_after_garbage_and_a_zero_byte_is_found(garbage, body):
    reader = FrameReader(2000)
    assert reader.feed(garbage + b"\0" + cobs.encode(body))[-1:] == [body]


def test_garbage_without_end_does_not_take_memory():
    reader = FrameReader(1000)
    for _ in range(1000):
        reader.feed(b"login: " * 100)
    assert len(reader._partial) <= 1100
    assert reader.garbage_bytes > 600_000
    assert reader.feed(b"\0" + cobs.encode(b"hello")) == [b"hello"]


def test_a_frame_with_a_right_sum_and_a_wrong_layout_is_a_protocol_error():
    body = FrameReader(100).feed(pack(Ping(1), 7, from_board=False))[0]
    import zlib

    wrong = body[:2]
    wrong += zlib.crc32(wrong, 7).to_bytes(4, "little")
    with pytest.raises(ProtocolError, match="wrong layout"):
        unpack(wrong, 7, from_board=False)


def test_optional_kinds_are_ignored():
    import zlib

    body = b"\x7ehello"
    assert unpack(body + zlib.crc32(body, 7).to_bytes(4, "little"), 7, from_board=False) is None
