"""The emulated serial line behaves as a wire does: its speed, its noise, its losses."""

from __future__ import annotations

import contextlib
import os
import random
import select
import threading
import time
from pathlib import Path

import pytest

from firmware_bridge.errors import TransferError
from firmware_bridge.host.address import SerialAddress
from firmware_bridge.host.board import Board
from firmware_bridge.host.open import open_link
from firmware_bridge.links.tty import make_raw, tty_link
from hil.virtual.line import PacedLine
from tests.host.memory_service import CHUNK_BYTES, MemoryPackage, MemoryService
from tests.host.serving import ServedBoard


@pytest.fixture
def line(request):
    with PacedLine(921600, **getattr(request, "param", {})) as line:
        descriptors = [os.open(tty, os.O_RDWR | os.O_NOCTTY) for tty in (line.host_tty, line.board_tty)]
        yield line, *descriptors
        for descriptor in descriptors:
            os.close(descriptor)


def _read(descriptor, count, timeout_s=5.0):
    data, deadline_s = b"", time.monotonic() + timeout_s
    while len(data) < count and time.monotonic() < deadline_s:
        if select.select([descriptor], [], [], 0.1)[0]:
            data += os.read(descriptor, 65536)
    return data


def _transfer(source, sink, data):
    writer = threading.Thread(target=lambda: os.write(source, data))
    begin_s = time.monotonic()
    writer.start()
    got = _read(sink, len(data), timeout_s=20)
    took_s = time.monotonic() - begin_s
    writer.join()
    return got, took_s


@pytest.mark.parametrize("baud", [115200, 921600, 3000000])
@pytest.mark.parametrize("to_board", [True, False])
def test_bytes_arrive_unchanged_at_the_rate_that_is_set(line, baud, to_board):
    _, host, board = line
    for descriptor in (host, board):
        make_raw(descriptor, baud)
    data = bytes(range(256)) * (baud // 256 // 40)  # about 0.25 s
    source, sink = (host, board) if to_board else (board, host)
    expected_s, took_s = len(data) * 10 / baud, []
    while len(took_s) < 5 and min(took_s, default=9.0) > 1.3 * expected_s:  # a busy host may delay some of them
        got, seconds = _transfer(source, sink, data)
        assert got == data
        took_s.append(seconds)
    assert min(took_s) >= 0.95 * expected_s
    assert min(took_s) < 2 * expected_s


def test_a_byte_arrives_after_half_a_turnaround():
    with PacedLine(921600, turnaround_s=0.4) as line:
        host, board = (os.open(tty, os.O_RDWR | os.O_NOCTTY) for tty in (line.host_tty, line.board_tty))
        got, took_s = _transfer(host, board, b"x")
        tries = [took_s] + [_transfer(host, board, b"x")[1] for _ in range(2)]
        os.close(host)
        os.close(board)
    assert got == b"x"
    assert 0.2 <= min(tries) < 0.4


def test_different_rates_at_both_ends_are_garbage(line):
    _, host, board = line
    make_raw(host, 115200)
    assert _transfer(host, board, b"hello, board")[0] not in (b"", b"hello, board")


@pytest.mark.parametrize("line", [{"byte_error_rate": 0.01, "seed": 7}], indirect=True)
def test_noise_flips_as_many_bytes_as_asked(line):
    _, host, board = line
    data = bytes(60_000)
    got, _ = _transfer(host, board, data)
    assert len(got) == len(data)
    assert 450 <= sum(byte != 0 for byte in got) <= 750


def test_a_receiver_that_does_not_read_loses_bytes_and_blocks_nobody(line):
    _, host, board = line
    make_raw(host, 3000000)
    make_raw(board, 3000000)
    os.set_blocking(host, False)
    sent, deadline_s = 0, time.monotonic() + 10.0
    while sent <= 150_000 and time.monotonic() < deadline_s:
        try:
            sent += os.write(host, bytes(4096))
        except BlockingIOError:
            time.sleep(0.005)
    assert sent > 150_000
    assert len(_read(board, sent, timeout_s=1.0)) < sent


def test_the_line_survives_a_host_that_comes_and_goes(line):
    paths, _, board = line
    for n in range(3):
        again = os.open(paths.host_tty, os.O_RDWR | os.O_NOCTTY)
        os.write(again, b"%d" % n)
        assert _read(board, 1) == b"%d" % n
        os.close(again)


OPENING = 460800


@pytest.fixture
def served_line(request):
    service = MemoryService()
    with PacedLine(OPENING, **getattr(request, "param", {})) as line:
        served = ServedBoard(tty_link(line.board_tty, OPENING, fastest=3_000_000), service)
        yield line, service
        served.close()


PACKAGE = MemoryPackage(random.Random(5).randbytes(12 * CHUNK_BYTES))


@pytest.mark.parametrize(
    ("served_line", "fastest", "agreed"),
    [
        ({}, 3_000_000, 3_000_000),
        ({}, 921600, 921600),
        ({}, OPENING, OPENING),
        ({"carries_baud": 2e6}, 3_000_000, 2_000_000),
    ],
    indirect=["served_line"],
)
def test_a_push_raises_the_rate_to_what_both_ends_and_the_cable_carry(served_line, fastest, agreed):
    line, service = served_line
    small = MemoryPackage(PACKAGE.payload[: 2 * CHUNK_BYTES]) if fastest == OPENING else PACKAGE
    for _ in range(2):  # the second session finds the board at its first rate again
        service.stored.clear()
        with Board(open_link(SerialAddress(Path(line.host_tty), OPENING, fastest)), "test") as board:
            board.push(small)
            assert board.statistics.baud == agreed
        assert service.installed == small.payload


def test_a_host_that_vanishes_at_a_raised_rate_does_not_keep_the_next_one_out(served_line):
    line, _ = served_line
    address = SerialAddress(Path(line.host_tty), OPENING)
    link = open_link(address)
    board = Board(link, "test")
    board.push(PACKAGE)
    link.close()  # without a farewell
    with contextlib.suppress(TransferError):
        board.close()
    with Board(open_link(address), "next") as board:
        assert board.info().serial == "M0001"


def test_a_cable_that_stops_carrying_the_raised_rate_ends_no_transfer(served_line):
    line, service = served_line
    big = MemoryPackage(random.Random(6).randbytes(40 * CHUNK_BYTES))

    def worsen(progress):
        if progress.bytes_done > 24 * CHUNK_BYTES:
            line.carries_baud = OPENING

    with Board(open_link(SerialAddress(Path(line.host_tty), OPENING)), "test") as board:
        board.push(big, progress=worsen)
        assert board.statistics.baud == OPENING
    assert service.installed == big.payload
