"""The emulated serial line behaves as a wire does: its speed, its noise, its losses."""

from __future__ import annotations

import os
import select
import threading
import time

import pytest

from firmware_bridge.links.tty import make_raw
from hil.virtual.line import PacedLine


@pytest.fixture
def line(request):
    line = PacedLine(921600, **getattr(request, "param", {}))
    stop = threading.Event()
    thread = threading.Thread(target=line.run, args=(stop,))
    thread.start()
    descriptors = [os.open(tty, os.O_RDWR | os.O_NOCTTY) for tty in (line.host_tty, line.board_tty)]
    yield line, *descriptors
    stop.set()
    thread.join()
    for descriptor in descriptors:
        os.close(descriptor)
    line.close()


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
    sent, deadline_s = 0, time.monotonic() + 1.0
    while time.monotonic() < deadline_s:
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
