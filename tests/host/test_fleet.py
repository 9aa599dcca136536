"""Flashing many boards: in parallel, each with its own end."""

from __future__ import annotations

import random
import threading
from contextlib import contextmanager
from dataclasses import replace

from firmware_bridge.agent.session_rules import SessionLock
from firmware_bridge.errors import BenchError, BoardBusyError, BoardError, RejectedError, TransferError
from firmware_bridge.host.fleet import (
    FlashEvent,
    FlashOptions,
    FlashOutcome,
    FlashStep,
    FlashTarget,
    flash,
)
from firmware_bridge.host.transfer import CancelledError
from firmware_bridge.links.faults import Faults
from firmware_bridge.protocol.messages import Installed
from tests.host.memory_service import CHUNK_BYTES, MemoryPackage, MemoryService
from tests.host.serving import memory_board

PACKAGE = MemoryPackage(random.Random(4).randbytes(40 * CHUNK_BYTES))


def target(name: str, service: MemoryService, **options) -> FlashTarget:
    @contextmanager
    def opened():
        with memory_board(service, **options) as (board, _):
            yield board

    return FlashTarget(name, opened)


def no_board(name: str) -> FlashTarget:
    @contextmanager
    def opened():
        raise BenchError(f"no board answers at {name}")
        yield

    return FlashTarget(name, opened)


def test_boards_are_flashed_in_parallel_and_one_failure_is_nobody_elses():
    services = [MemoryService(f"M000{i}") for i in range(3)]
    meeting = threading.Barrier(3, timeout=10)
    for service in services:  # all three are in the middle of a push at the same time, or this breaks
        service.finish = lambda inner=service.finish: (meeting.wait(), inner())[1]
    targets = [target(f"b{i}", service) for i, service in enumerate(services)]
    results = flash([targets[0], no_board("gone"), *targets[1:]], PACKAGE)
    assert [result.passed for result in results] == [True, False, True, True]
    assert isinstance(results[1].error, BenchError)
    assert [service.installed == PACKAGE.payload and service.confirmed for service in services] == [True] * 3
    assert {result.serial for result in results} == {"M0000", "M0001", "M0002", ""}


def test_a_refused_package_is_not_tried_again_and_leaves_the_others_alone():
    forged = MemoryPackage(PACKAGE.payload)
    forged.head = b"forged"
    events: list[FlashEvent] = []
    [result] = flash([target("a", MemoryService())], forged, events=events.append)
    assert isinstance(result.error, RejectedError)
    assert result.attempts == 1
    assert [event.step for event in events] == [FlashStep.CONNECT, FlashStep.PUSH, FlashStep.FAILED]


def test_a_link_that_breaks_is_opened_again_and_the_push_resumes():
    service = MemoryService()
    events: list[FlashEvent] = []
    opened = iter([Faults(disconnect=0.01), None])

    @contextmanager
    def unlucky():
        with memory_board(service, reliable=False, faults=next(opened), seed=2) as (board, _):
            yield board

    [result] = flash([FlashTarget("a", unlucky)], PACKAGE, events=events.append)
    assert result.passed
    assert result.attempts == 2
    assert service.chunks_received == PACKAGE.chunk_count
    [retry] = [event for event in events if event.step is FlashStep.RETRY]
    assert isinstance(retry.error, TransferError)


def test_a_board_that_still_holds_the_session_that_broke_is_waited_for():
    service, lock, broken = MemoryService(), SessionLock(), object()
    events: list[FlashEvent] = []
    opened: list[int] = []

    @contextmanager
    def first_breaks():
        opened.append(1)
        if len(opened) == 1:
            lock.take(broken, "this very host")  # the board has not noticed yet
            threading.Timer(1.5, lock.give_back, [broken]).start()
            raise TransferError("the board has gone silent")
        with memory_board(service, lock=lock) as (board, _):
            yield board

    [result] = flash([FlashTarget("a", first_breaks)], PACKAGE, events=events.append)
    assert result.passed
    assert service.confirmed
    assert [type(e.error) for e in events if e.step is FlashStep.RETRY] == [TransferError, BoardBusyError]


def test_a_board_that_another_host_holds_is_not_waited_for():
    lock = SessionLock()
    lock.take(object(), "bench 3")
    [result] = flash([target("a", MemoryService(), lock=lock)], PACKAGE)
    assert isinstance(result.error, BoardBusyError)
    assert result.attempts == 1


def test_cancelling_ends_every_board():
    targets = [target(str(i), MemoryService(), reliable=False) for i in range(2)]
    results = flash(targets, PACKAGE, cancel=lambda: True)
    assert [result.passed for result in results] == [False, False]


def test_activation_and_confirmation_can_be_left_to_the_user():
    service = MemoryService()
    [result] = flash([target("a", service)], PACKAGE, FlashOptions(activate=False))
    assert result.outcome is FlashOutcome.PUSHED
    assert not service.confirmed
    assert flash([], PACKAGE) == ()


def test_a_board_that_has_installed_something_else_does_not_have_the_package():
    service = MemoryService()
    service.finish = lambda: Installed("b", "0" * 64)
    digest = service.identity(PACKAGE).digest
    [result] = flash([target("a", service)], PACKAGE, FlashOptions(digest=digest))
    assert isinstance(result.error, BoardError)
    assert result.reached is None
    assert not service.active
    [honest] = flash([target("a", MemoryService())], PACKAGE, FlashOptions(digest=digest))
    assert honest.passed


def test_cancelling_after_the_push_activates_nothing():
    service = MemoryService()
    activated = []
    service.activate = activated.append
    pressed = threading.Event()
    finish = service.finish
    service.finish = lambda: (finish(), pressed.set())[0]
    [result] = flash([target("a", service)], PACKAGE, cancel=pressed.is_set)
    assert isinstance(result.error, CancelledError)
    assert service.installed is not None
    assert activated == []


def test_cancelling_before_a_board_is_opened_opens_none():
    def opened():
        raise AssertionError("opened")

    [result] = flash([FlashTarget("a", opened)], PACKAGE, cancel=lambda: True)
    assert isinstance(result.error, CancelledError)


def test_what_nobody_foresaw_of_one_board_ends_no_other():
    def odd():
        raise UnicodeError("label empty or too long")

    results = flash([FlashTarget("odd", odd), target("a", MemoryService())], PACKAGE)
    assert [result.passed for result in results] == [False, True]
    assert isinstance(results[0].error, UnicodeError)


def test_the_end_of_a_board_is_handed_over_before_it_is_shown_and_while_others_work():
    others = threading.Event()
    slow = MemoryService("slow")
    finish = slow.finish
    slow.finish = lambda: (others.wait(10), finish())[1]
    order: list[str] = []

    def ended(result):
        order.append(f"end {result.board}")
        others.set()

    def shown(event):
        if event.step is FlashStep.DONE:
            order.append(f"shown {event.board}")

    flash([target("slow", slow), target("fast", MemoryService("fast"))], PACKAGE, events=shown, ended=ended)
    assert order == ["end fast", "shown fast", "end slow", "shown slow"]


def test_a_board_that_runs_the_package_is_left_alone_unless_it_is_to_be_installed_anew():
    service = MemoryService()
    identity = service.identity(PACKAGE)
    plain, careful = FlashOptions(), FlashOptions(unless_active=identity)
    assert flash([target("a", service)], PACKAGE, careful)[0].outcome is FlashOutcome.CONFIRMED
    service.offered = []
    [again] = flash([target("a", service)], PACKAGE, careful)
    assert again.outcome is FlashOutcome.UNCHANGED
    assert again.slot == "b"
    assert service.offered == []
    [anew] = flash([target("a", service)], PACKAGE, plain)
    assert anew.outcome is FlashOutcome.CONFIRMED
    assert service.offered


def test_a_board_that_only_lacks_the_confirmation_gets_it():
    service = MemoryService()
    left = FlashOptions(confirm=False, unless_active=service.identity(PACKAGE))
    [first] = flash([target("a", service)], PACKAGE, left)
    assert first.outcome is FlashOutcome.ACTIVATED
    assert not service.confirmed
    service.offered = []
    [second] = flash([target("a", service)], PACKAGE, FlashOptions(unless_active=left.unless_active))
    assert second.outcome is FlashOutcome.CONFIRMED
    assert service.offered == []


def test_another_package_of_the_same_graph_is_not_taken_for_this_one():
    service = MemoryService()
    flash([target("a", service)], PACKAGE)
    newer = replace(service.identity(PACKAGE), security_version=9)
    [result] = flash([target("a", service)], PACKAGE, FlashOptions(unless_active=newer))
    assert result.outcome is FlashOutcome.CONFIRMED


def test_one_board_in_two_ways_counts_once():
    service = MemoryService()
    results = flash([target("by ssh", service), target("by serial", service, reliable=False)], PACKAGE)
    assert sorted(result.outcome.name for result in results) == ["CONFIRMED", "SAME_BOARD"]
    assert sum(result.counts for result in results) == 1
    [twin] = [result for result in results if not result.counts]
    assert "the same board as by s" in twin.remark


def test_two_boards_with_one_serial_number_are_both_flashed_and_named():
    first, second = MemoryService(), MemoryService(booted_s=7.5)
    places = [FlashTarget("a", target("a", first).open, place="usb 1-2"),
              FlashTarget("b", target("b", second).open, place="usb 1-3")]  # fmt: skip
    results = flash(places, PACKAGE)
    assert [result.outcome for result in results] == [FlashOutcome.CONFIRMED] * 2
    [remark] = [result.remark for result in results if result.remark]
    assert "two boards have the serial number M0001" in remark


def test_a_port_that_is_unplugged_and_comes_back_goes_on(tmp_path):
    port, service = tmp_path / "KS100-0042", MemoryService()
    port.touch()
    opened: list[int] = []

    @contextmanager
    def unplugged_once():
        opened.append(1)
        if len(opened) == 1:
            with memory_board(service) as (board, _):
                board.push = lambda *_: _pull(port)
                yield board
        elif len(opened) == 2:
            raise BenchError("no permission yet")
        else:
            with memory_board(service) as (board, _):
                yield board

    [result] = flash([FlashTarget("a", unplugged_once, port)], PACKAGE, FlashOptions(attempts=1))
    assert result.outcome is FlashOutcome.CONFIRMED
    assert result.attempts == 3


def _pull(port):
    port.unlink()
    threading.Timer(0.5, port.touch).start()
    raise TransferError("the port is gone")


def test_a_port_that_stays_away_is_given_up_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr("firmware_bridge.host.flashing._REPLUG_S", 0.5)

    def gone():
        raise TransferError("the port is gone")

    [result] = flash([FlashTarget("a", gone, tmp_path / "KS100-0042")], PACKAGE)
    assert "KS100-0042 was unplugged and did not come back" in str(result.error)


def test_a_cancelled_push_reports_how_many_chunks_the_board_has():
    service = MemoryService()
    pressed = threading.Event()
    take = service.chunk

    def chunk(index, data):
        take(index, data)
        if service.chunks_received == 5:
            pressed.set()

    service.chunk = chunk
    [result] = flash([target("a", service, reliable=False)], PACKAGE, cancel=pressed.is_set)
    assert isinstance(result.error, CancelledError)
    assert f"still has {service.chunks_received} of {PACKAGE.chunk_count} chunks" in str(result.error)
