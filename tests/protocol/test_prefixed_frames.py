"""Prefixed frames: found however they are cut, agreed on by both ends, and ended by name where a pipe damages them."""

from __future__ import annotations

import random
import re
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.errors import ProtocolError, TransferError
from firmware_bridge.protocol import messages as m
from firmware_bridge.protocol.connection import Connection
from firmware_bridge.protocol.frames import Kind, Ping, PrefixRequest, pack, unpack
from firmware_bridge.protocol.reader import PREFIX, SHORTEST_BODY_BYTES, FrameReader
from firmware_bridge.protocol.states import Role, State
from tests.protocol.simulated_line import SimulatedLine
from tests.protocol.test_frames import frames, u32

CAP_BYTES = 2000


def prefixed_reader(cap_bytes: int = CAP_BYTES) -> FrameReader:
    reader = FrameReader(cap_bytes)
    reader.use_prefixed()
    return reader


def open_line(seed: int) -> SimulatedLine:
    """Two ends of a reliable pipe that have agreed on prefixed frames."""
    line = SimulatedLine(seed, reliable=True)
    line.host.send(m.GetInfo())
    assert line.run(lambda: bool(line.received[line.board]), 5)
    assert line.run(lambda: line.host._reader.is_prefixed and line.board._reader.is_prefixed, 5)
    return line


@given(st.lists(frames, max_size=6), u32, st.booleans(), st.integers(1, 50))
def test_every_frame_comes_back_however_the_bytes_are_cut(many, key, from_board, step):
    wire = b"".join(pack(frame, key, from_board=from_board, prefixed=True) for frame in many)
    reader = prefixed_reader()
    bodies = [body for at in range(0, len(wire), step) for body in reader.feed(wire[at : at + step])]
    assert [unpack(body, key, from_board=from_board) for body in bodies] == many
    assert reader.waiting == b""


@given(frames, u32, st.booleans())
def test_a_frame_costs_four_bytes_and_is_otherwise_the_stuffed_one(frame, key, from_board):
    [body] = FrameReader(CAP_BYTES).feed(pack(frame, key, from_board=from_board))
    assert pack(frame, key, from_board=from_board, prefixed=True) == PREFIX.pack(len(body)) + body


@given(st.integers(0, 2**32 - 1).filter(lambda n: not SHORTEST_BODY_BYTES <= n <= CAP_BYTES), st.integers(1, 9))
def test_a_length_that_no_frame_has_is_an_error_before_anything_is_kept(length, step):
    reader = prefixed_reader()
    wire = PREFIX.pack(length) + bytes(100)
    pieces = iter([wire[at : at + step] for at in range(0, len(wire), step)])
    with pytest.raises(ProtocolError, match=f"a frame of {length} bytes is announced"):
        any(reader.feed(piece) for piece in pieces)
    assert len(reader._partial) <= PREFIX.size


@given(st.lists(st.binary(max_size=700), max_size=30))
def test_no_more_than_one_frame_is_kept_whatever_comes(pieces):
    reader = prefixed_reader(300)
    try:
        for piece in pieces:
            reader.feed(piece)
            assert len(reader._partial) <= PREFIX.size + 300
    except ProtocolError:
        assert len(reader._partial) <= PREFIX.size


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_damaged_byte_ends_the_session_by_name_or_leaves_it_waiting(data):
    line = open_line(data.draw(st.integers(0, 99)))
    line.host.send(m.Provision(random.Random(1).randbytes(500)))
    wire = bytearray(line.host.data_to_send(line.now))
    wire[data.draw(st.integers(0, len(wire) - 1))] ^= data.draw(st.integers(1, 255))
    line.board.receive_data(bytes(wire), line.now)
    assert line.board.next_message() is None
    if line.board.state is State.OPEN:  # a length within the limit: the rest of that frame is waited for
        assert len(line.board._reader._partial) > len(wire) - PREFIX.size
        return
    line.host.receive_data(line.board.data_to_send(line.now), line.now)
    with pytest.raises(TransferError, match=r"a frame of \d+ bytes (is announced|was damaged)"):
        line.host.next_message()


@pytest.mark.parametrize("end", [0, 1], ids=["host", "board"])
def test_a_hostile_length_ends_the_session_at_either_end(end):
    line = open_line(end)
    line.ends[end].receive_data(struct.pack("<I", 2**32 - 1) + bytes(5000), line.now)
    assert line.ends[end].state in (State.FAILED, State.LISTENING)
    line.ends[end].receive_data(bytes(5000), line.now)
    assert len(line.ends[end]._reader._partial) == 0


def test_a_board_whose_session_has_failed_grants_the_next_one():
    line = open_line(3)
    line.board.receive_data(struct.pack("<I", 3), line.now)
    line.host = line.ends[0] = Connection(Role.HOST, reliable=True, session=99)
    line.received[line.host] = []
    line.received[line.board].clear()
    line.host.open()
    line.host.send(m.GetTrust())
    assert line.run(lambda: bool(line.received[line.board]), 5)
    assert line.received[line.board] == [m.GetTrust()]
    assert line.run(lambda: line.host._reader.is_prefixed and line.board._reader.is_prefixed, 5)


def test_serial_lines_keep_stuffed_frames():
    line = SimulatedLine(4)
    line.host.send(m.GetInfo())
    assert line.run(lambda: bool(line.received[line.board]), 5)
    line.board.receive_data(pack(PrefixRequest(), line.host.session, from_board=False), line.now)
    line.run(lambda: False, 1)
    assert not line.host._reader.is_prefixed
    assert not line.board._reader.is_prefixed


def test_an_optional_kind_is_ignored_in_prefixed_frames_too():
    line = open_line(5)
    wire = bytearray(pack(Ping(1), line.host.session, from_board=False, prefixed=True))
    body = bytes([max(Kind) + 1])

    body += zlib.crc32(body, line.host.session).to_bytes(4, "little")
    line.board.receive_data(PREFIX.pack(len(body)) + body + bytes(wire), line.now)
    assert line.board.state is State.OPEN


@pytest.mark.parametrize("older", [0, 1], ids=["older host", "older board"])
def test_an_end_that_does_not_know_prefixed_frames_gets_stuffed_ones(older, monkeypatch):
    line = SimulatedLine(6, reliable=True)
    monkeypatch.setattr(line.ends[older], "_start_prefixed", lambda: None)
    if older == 0:
        pack_frame = line.host._pack
        monkeypatch.setattr(
            line.host, "_pack", lambda frame: b"" if isinstance(frame, PrefixRequest) else pack_frame(frame)
        )
    hello, store = m.Hello(1, "lab"), m.Provision(random.Random(6).randbytes(300_000))
    line.host.send(hello)
    line.host.send(store)
    assert line.run(lambda: len(line.received[line.board]) == 2, 30)
    assert line.received[line.board] == [hello, store]
    assert not line.host._reader.is_prefixed
    assert not line.board._reader.is_prefixed


def test_the_page_shows_a_prefixed_frame():
    text = (Path(__file__).parents[2] / "docs/protocol.md").read_text()
    [wire] = re.findall(r"Prefixed, Ping\(2\) from the host is ([0-9a-f]+)", text)
    assert pack(Ping(2), 0x12345678, from_board=False, prefixed=True).hex() == wire


def test_a_farewell_after_a_pause_is_read_as_it_was_packed():
    line = open_line(9)
    line.now_s += 1.0  # a stuffed frame would get a zero byte in front of it
    line.board._fail(ProtocolError("no more of this"))
    line.host.receive_data(line.board.data_to_send(line.now), line.now)
    assert "the board closed the session: no more of this" in str(line.host.failure)
