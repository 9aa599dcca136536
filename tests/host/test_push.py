"""A push: what crosses the link, how it is compressed, cancelled, broken and resumed."""

from __future__ import annotations

import random
import threading
import time

import pytest

from firmware_bridge.errors import TransferError
from firmware_bridge.host import transfer
from firmware_bridge.host.board import Board
from firmware_bridge.host.transfer import CancelledError, Compression, TransferProgress, needed_chunks
from firmware_bridge.links.faults import Faults
from firmware_bridge.links.memory import memory_pair
from firmware_bridge.protocol.window import Incoming
from tests.host.memory_service import CHUNK_BYTES, MemoryPackage, MemoryService
from tests.host.serving import ServedBoard, memory_board

PACKAGE = MemoryPackage(random.Random(5).randbytes(10 * CHUNK_BYTES + 777))


@pytest.mark.parametrize("reliable", [True, False])
def test_pushing_the_same_package_again_sends_no_chunk(reliable):
    with memory_board(reliable=reliable) as (board, service):
        board.push(PACKAGE)
        before, wire = service.chunks_received, board.statistics.wire_bytes_sent
        board.push(PACKAGE)
        assert service.chunks_received == before
        assert board.statistics.wire_bytes_sent - wire < 3000


def test_progress_ends_at_the_whole_and_never_goes_back():
    seen: list[TransferProgress] = []
    with memory_board(reliable=False, faults=Faults(stall=0.1, stall_s=0.02)) as (board, _):
        board.push(PACKAGE, seen.append)
    assert len(seen) >= 3
    done = [event.bytes_done for event in seen]
    assert done == sorted(done)
    assert done[-1] == seen[-1].bytes_total == len(PACKAGE.payload)
    assert seen[-1].wire_bytes > len(PACKAGE.payload)
    assert seen[-1].rate_bytes_s > 0


def test_cancelling_stops_soon_and_the_next_push_sends_only_the_rest():
    service = MemoryService()
    big = MemoryPackage(random.Random(6).randbytes(100 * CHUNK_BYTES))
    with memory_board(service, reliable=False, faults=Faults(stall=0.05, stall_s=0.01)) as (board, _):
        asked = iter([False] * 20)
        with pytest.raises(CancelledError):
            board.push(big, cancel=lambda: next(asked, True))
        assert service.installed is None
        assert board.info().serial == "M0001"
        have = service.chunks_received
        assert 5 <= have < 60
        board.push(big)
    assert service.chunks_received == 100
    assert service.installed == big.payload


def test_a_board_that_answers_pings_and_takes_no_data_ends_the_push(monkeypatch):
    monkeypatch.setattr(transfer, "_STALL_S", 0.4)
    monkeypatch.setattr(Incoming, "grant", lambda *_: None)  # no credit beyond the first window
    with memory_board(reliable=False) as (board, _), pytest.raises(TransferError, match="accepted no data for"):
        board.push(MemoryPackage(random.Random(7).randbytes(20 * CHUNK_BYTES)))


def test_compressible_chunks_cross_a_serial_line_deflated():
    with memory_board(reliable=False) as (board, service):
        board.push(MemoryPackage(bytes(40 * CHUNK_BYTES)))
        assert service.installed == bytes(40 * CHUNK_BYTES)
        assert board.statistics.wire_bytes_sent < 20_000


def test_compression_can_be_switched_off():
    with memory_board(reliable=False) as (board, _):
        board.push(MemoryPackage(bytes(4 * CHUNK_BYTES)), compress=False)
        assert board.statistics.wire_bytes_sent > 4 * CHUNK_BYTES


def test_deflating_is_left_alone_on_fast_pipes_and_while_it_does_not_help():
    serial, ssh = Compression(reliable=False), Compression(reliable=True)
    assert serial.worthwhile(0.0)
    assert not ssh.worthwhile(0.0)
    assert not ssh.worthwhile(20e6)
    assert ssh.worthwhile(1e6)
    tried = 0
    for _ in range(200):
        if serial.worthwhile(90e3):
            tried += 1
            serial.report(shrunk=False)
    assert tried <= 17
    serial = Compression(reliable=False)
    for _ in range(10):
        assert serial.worthwhile(90e3)
        serial.report(shrunk=True)


def test_a_board_whose_flash_stalls_stops_the_sender_and_loses_nothing():
    stall = threading.Event()
    service = MemoryService(stall=stall)
    big = MemoryPackage(random.Random(7).randbytes(60 * CHUNK_BYTES))
    with memory_board(service, reliable=False) as (board, _):
        threading.Timer(1.5, stall.set).start()
        board.push(big)
        assert board.statistics.retransmissions == 0
    assert service.installed == big.payload


def test_a_push_can_be_cancelled_while_the_board_takes_nothing():
    stall, cancelled_s = threading.Event(), []
    big = MemoryPackage(random.Random(7).randbytes(60 * CHUNK_BYTES))
    with memory_board(MemoryService(stall=stall), reliable=False) as (board, _):
        begun_s = time.monotonic()

        def cancel() -> bool:
            waited_s = time.monotonic() - begun_s
            cancelled_s.extend([waited_s] if waited_s > 1 else [])
            return waited_s > 1

        threading.Timer(8, stall.set).start()
        with pytest.raises(CancelledError):
            board.push(big, cancel=cancel)
        assert cancelled_s[0] < 4
        stall.set()


def test_a_broken_link_is_a_transfer_error_and_the_next_push_resumes():
    service = MemoryService()
    big = MemoryPackage(random.Random(8).randbytes(64 * CHUNK_BYTES))
    here, there = memory_pair(reliable=False)
    served = ServedBoard(there, service)
    board = Board(here, "test")

    def cut(progress: TransferProgress) -> None:
        if progress.bytes_done > len(big.payload) // 3:
            there.close()

    service.stall = threading.Event()
    service.stall.wait = lambda _: time.sleep(0.01)
    with pytest.raises(TransferError):
        board.push(big, cut)
    board.close()
    served.wait()
    have = len(service.stored)
    assert 0 < have < 64
    service.chunks_received = 0
    with memory_board(service) as (board, _):
        board.push(big)
    assert service.chunks_received == 64 - have
    assert service.installed == big.payload


def test_a_board_that_loses_its_power_ends_a_push_however_much_is_still_to_be_sent():
    here, there = memory_pair(reliable=False)
    served = ServedBoard(there, MemoryService())
    powered = there.write
    board = Board(here, "test", silence_s=1.0)
    pushed = []

    def push() -> None:
        with pytest.raises(TransferError, match="gone silent"):
            board.push(MemoryPackage(random.Random(8).randbytes(64 * CHUNK_BYTES)), cut)
        pushed.append(True)

    def cut(progress: TransferProgress) -> None:
        there.write = lambda _: None  # the line stays open, and nobody answers on it

    there.write = lambda data: (time.sleep(0.005), powered(data))  # a pace, so that there is a middle
    pushing = threading.Thread(target=push, daemon=True)
    pushing.start()
    pushing.join(20)
    assert pushed == [True]
    board.close()
    served.close()


@pytest.mark.parametrize("seed", range(12))
def test_a_faulty_line_installs_the_right_bytes_or_fails_clearly(seed):
    source = random.Random(seed)
    faults = Faults(
        corrupt=source.choice([0, 1e-5, 3e-4]),
        drop=source.choice([0, 1e-4]),
        duplicate=source.choice([0, 0.02]),
        truncate=source.choice([0, 0.02]),
        lose=source.choice([0, 0.05]),
        stall=source.choice([0, 0.01]),
        disconnect=source.choice([0, 0, 0.003]),
    )
    service = MemoryService()
    try:
        with memory_board(service, reliable=False, faults=faults, seed=seed) as (board, _):
            board.push(PACKAGE)
    except TransferError:
        assert faults.disconnect
    assert service.installed == PACKAGE.payload or (service.installed is None and faults.disconnect)


def test_the_wanted_bitmap_is_read_from_its_lowest_bit_and_stops_at_the_last_chunk():
    assert list(needed_chunks(bytes([0b00000101, 0b11111110]), 11)) == [0, 2, 9, 10]
    assert list(needed_chunks(b"", 4)) == []
