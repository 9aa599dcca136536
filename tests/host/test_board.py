"""What a host can ask of a board: every call, over links that lose nothing and links that do."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from firmware_bridge.agent.server import SessionEnd, SessionLock
from firmware_bridge.errors import BoardBusyError, BoardError, RejectedError, TransferError
from firmware_bridge.host.board import Board
from firmware_bridge.host.transfer import CancelledError, Compression, TransferProgress, wanted_chunks
from firmware_bridge.links.faults import Faults
from firmware_bridge.links.memory import memory_pair
from firmware_bridge.package.reasons import RejectReason
from tests.host.memory_service import CHUNK_BYTES, MemoryPackage, MemoryService
from tests.host.serving import ServedBoard, memory_board

PACKAGE = MemoryPackage(random.Random(5).randbytes(10 * CHUNK_BYTES + 777))


def raising(error):
    """A service's method that fails."""

    def method(*_):
        raise error

    return method


@pytest.fixture(params=["reliable", "unreliable"])
def open_board(request):
    with memory_board(reliable=request.param == "reliable") as pair:
        yield pair


def test_the_board_introduces_itself(open_board):
    board, service = open_board
    assert (board.welcome.board, board.welcome.serial) == ("ks100", "M0001")
    assert board.info() == service.info()


def test_a_package_goes_from_push_to_confirmed(open_board):
    board, service = open_board
    installed = board.push(PACKAGE)
    assert service.installed == PACKAGE.payload
    assert board.activate(installed.slot).slot == "b"
    assert board.confirm().floor == 3
    assert service.confirmed


def test_trust_audit_and_measurement_come_back_typed(open_board):
    board, _ = open_board
    board.provision(b"store")
    assert board.trust() == b"store"
    assert [entry.action for entry in board.audit(1)] == ["offer"]
    measured = board.measure(frames=3, rate_hz=60.0)
    assert measured.latency_ms == (8.5, 8.5, 8.5)
    assert measured.rails[0].power_mw == (5600.0,) * 3


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "float32", ">i4", "bool"])
def test_arrays_cross_the_link_in_type_shape_and_value(dtype):
    array = np.arange(24).reshape(2, 3, 4)[:, ::2].astype(dtype)
    with memory_board() as (board, _):
        result = board.infer({"x": array})
    assert result.latency_ms == 8.5
    np.testing.assert_array_equal(result.outputs["x_out"], array)
    assert result.outputs["x_out"].dtype == np.dtype(dtype).newbyteorder("=")


def test_a_refusal_is_raised_with_its_reason_before_any_chunk_is_sent(open_board):
    board, service = open_board
    forged = MemoryPackage(PACKAGE.payload)
    forged.head = b"forged" + forged.head
    with pytest.raises(RejectedError) as caught:
        board.push(forged)
    assert caught.value.reason is RejectReason.SIGNATURE
    assert caught.value.detail == "P-256, key ab12"
    assert service.chunks_received == 0


def test_a_refused_chunk_ends_the_push_and_the_session_goes_on(open_board):
    board, _ = open_board
    broken = MemoryPackage(PACKAGE.payload)
    broken.chunks[3] = broken.chunks[4] = broken.chunks[7] = bytes(CHUNK_BYTES)  # one answer for all of them
    with pytest.raises(RejectedError) as caught:
        board.push(broken)
    assert caught.value.reason is RejectReason.CHUNK
    assert board.info().serial == "M0001"
    board.push(PACKAGE)


def test_what_the_board_cannot_do_is_a_board_error(open_board):
    board, service = open_board
    service.finish = raising(BoardError("the flash is worn out"))
    with pytest.raises(BoardError, match="flash is worn out"):
        board.push(PACKAGE)
    service.audit = raising(OSError(28, "No space left on device", "/var/ks100"))
    with pytest.raises(BoardError, match=r"storage.*No space left"):
        board.audit()
    service.audit = raising(ZeroDivisionError("division by zero"))
    with pytest.raises(BoardError, match="internal"):
        board.audit()
    assert board.info().serial == "M0001"


def test_pushing_the_same_package_again_sends_no_chunk(open_board):
    board, service = open_board
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
    assert serial.wanted(0.0)
    assert not ssh.wanted(0.0)
    assert not ssh.wanted(20e6)
    assert ssh.wanted(1e6)
    tried = 0
    for _ in range(200):
        if serial.wanted(90e3):
            tried += 1
            serial.report(shrunk=False)
    assert tried <= 17
    serial = Compression(reliable=False)
    for _ in range(10):
        assert serial.wanted(90e3)
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


def test_a_second_host_is_told_who_holds_the_board_and_can_still_look():
    lock, service = SessionLock(), MemoryService()
    with (
        memory_board(service, lock=lock, name="bench 3") as (first, _),
        memory_board(service, lock=lock) as (second, _),
    ):
        first.push(PACKAGE)
        assert second.info().serial == "M0001"
        with pytest.raises(BoardBusyError) as caught:
            second.activate("b")
        assert caught.value.holder == "bench 3"
        assert 0 <= caught.value.since_s < 5


def test_the_board_is_free_again_when_its_holder_closes():
    lock, service = SessionLock(), MemoryService()
    with memory_board(service, lock=lock) as (first, _):
        first.push(PACKAGE)
    with memory_board(service, lock=lock) as (second, _):
        second.activate("b")


def test_a_serial_host_that_closes_leaves_the_board_to_a_host_on_another_link():
    lock, service = SessionLock(), MemoryService()
    here, there = memory_pair(reliable=False)
    served = ServedBoard(there, service, lock)
    with Board(here, "serial") as first:
        first.push(PACKAGE)
        first._conversation._link = open_ended(here)  # the line stays, as a real one does
    with memory_board(service, lock=lock) as (second, _):
        for _ in range(20):
            try:
                second.activate("b")
                break
            except BoardBusyError:
                time.sleep(0.1)
        else:
            pytest.fail("the lock was never given back")
    here.close()
    served.close()


def open_ended(link):
    """The link, except that closing it does nothing."""

    class OpenEnded:
        name, reliable, read, write = link.name, link.reliable, link.read, link.write

        def close(self) -> None:
            pass

    return OpenEnded()


def ask_in_vain(board: Board) -> None:
    with pytest.raises(TransferError):
        board.measure(frames=1)


def test_an_answer_that_comes_too_late_does_not_reach_the_next_session():
    service = MemoryService()
    entered, release = threading.Event(), threading.Event()
    slow = service.measure
    service.measure = lambda request: (entered.set(), release.wait(10), slow(request))[2]
    here, there = memory_pair(reliable=False)
    served = ServedBoard(there, service)
    first = Board(open_ended(here), "first")
    asking = threading.Thread(target=ask_in_vain, args=(first,))
    asking.start()
    entered.wait(5)
    first.close()
    asking.join(5)
    threading.Timer(0.3, release.set).start()
    with Board(here, "second") as second:
        assert second.info().serial == "M0001"
    served.close()


def test_a_new_session_on_a_serial_line_takes_over_from_a_host_that_died():
    service = MemoryService()
    here, there = memory_pair(reliable=False)
    served = ServedBoard(there, service)
    died = Board(here, "died")
    died.push(PACKAGE)
    died._conversation._stopped = True  # its process is gone: nothing more is read or written, nothing is said
    died._conversation._want()
    for thread in died._conversation._threads:
        thread.join()
    again = Board(here, "again")
    again.activate("b")
    again.close()
    served.close()


def test_reboot_is_answered_and_ends_the_session():
    service = MemoryService()
    here, there = memory_pair()
    served = ServedBoard(there, service)
    board = Board(here, "test")
    board.reboot()
    served.wait()
    assert service.reboots == 1
    assert served.end is SessionEnd.REBOOT
    with pytest.raises(TransferError):
        board.info()


def test_a_link_that_nobody_answers_is_closed_with_a_clear_error():
    here, _ = memory_pair(reliable=False)
    with pytest.raises(TransferError, match="no KS-100 answers"):
        Board(here, "test", silence_s=0.5)
    with pytest.raises(TransferError, match="closed"):
        here.write(b"x")


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
    assert list(wanted_chunks(bytes([0b00000101, 0b11111110]), 11)) == [0, 2, 9, 10]
    assert list(wanted_chunks(b"", 4)) == []


def test_an_unnamed_board_kind_in_a_fault_is_kept():
    service = MemoryService()
    error = BoardError("hot")
    error.kind = "runtime"
    service.infer = raising(error)
    with memory_board(service) as (board, _), pytest.raises(BoardError, match=r"\(runtime\): hot"):
        board.infer({"x": np.zeros(1, np.int8)})


def test_info_survives_a_round_trip_with_odd_text():
    service = MemoryService()
    odd = replace(service.info(), serial="Ω-7 \u0000 end", program="")
    service.info = lambda: odd
    with memory_board(service) as (board, _):
        assert board.info() == odd
