"""What a host can ask of a board: every call, over links that lose nothing and links that do."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from firmware_bridge.agent.server import SessionEnd
from firmware_bridge.agent.session_rules import SessionLock
from firmware_bridge.errors import BoardBusyError, BoardError, FaultKind, RejectedError, TransferError
from firmware_bridge.host.board import Board
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
        first._session._link = open_ended(here)  # the line stays, as a real one does
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
    died._session._stopped = True  # its process is gone: nothing more is read or written, nothing is said
    died._session._want()
    for thread in died._session._threads:
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


def test_the_kind_of_a_fault_crosses_the_link_as_a_value():
    service = MemoryService()
    service.infer = raising(BoardError("hot", FaultKind.RUNTIME))
    with memory_board(service) as (board, _), pytest.raises(BoardError, match=r"\(runtime\): hot") as caught:
        board.infer({"x": np.zeros(1, np.int8)})
    assert caught.value.kind is FaultKind.RUNTIME


def test_odd_text_arrives_as_one_printable_line():
    service = MemoryService()
    odd = replace(service.info(), serial="Ω-7 \u0000 end", program="")
    service.info = lambda: odd
    with memory_board(service) as (board, _):
        assert board.info() == replace(odd, serial="Ω-7 ? end")
