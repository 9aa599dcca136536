"""Flashing many boards: in parallel, each with its own end."""

from __future__ import annotations

import random
import threading
from contextlib import contextmanager

from firmware_bridge.agent.server import SessionLock
from firmware_bridge.errors import BenchError, BoardBusyError, RejectedError, TransferError
from firmware_bridge.host.fleet import FlashEvent, FlashStep, FlashTarget, flash
from firmware_bridge.host.transfer import CancelledError
from firmware_bridge.links.faults import Faults
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
    services = [MemoryService() for _ in range(3)]
    meeting = threading.Barrier(3, timeout=10)
    for service in services:  # all three are in the middle of a push at the same time, or this breaks
        service.finish = lambda inner=service.finish: (meeting.wait(), inner())[1]
    targets = [target(f"b{i}", service) for i, service in enumerate(services)]
    results = flash([targets[0], no_board("gone"), *targets[1:]], PACKAGE)
    assert [result.passed for result in results] == [True, False, True, True]
    assert isinstance(results[1].error, BenchError)
    assert [service.installed == PACKAGE.payload and service.confirmed for service in services] == [True] * 3
    assert results[0].serial == "M0001"


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

    @contextmanager
    def first_breaks():
        if not events[1:]:
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
    [result] = flash([target("a", service)], PACKAGE, activate=False)
    assert result.passed
    assert not service.confirmed
    assert flash([], PACKAGE) == ()


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
