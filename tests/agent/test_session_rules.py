"""Who may stay on a board, and who may change it, when somebody else waits."""

from __future__ import annotations

import pytest

from firmware_bridge.agent.session_rules import Places, SessionLock
from firmware_bridge.errors import BoardBusyError, BoardError, ProtocolError
from firmware_bridge.protocol.stream import MemoryBudget


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_a_holder_that_does_nothing_loses_the_lock_to_who_waits_and_both_are_named():
    clock = Clock()
    lock, first, second = SessionLock(clock), object(), object()
    lock.take(first, "first")
    lock.rest(first)
    clock.now_s += 19
    with pytest.raises(BoardBusyError, match="first for 19 s"):
        lock.take(second, "second")
    clock.now_s += 2
    lock.take(second, "second")
    with pytest.raises(BoardError, match="second took over"):
        lock.take(first, "first")
    with pytest.raises(BoardBusyError, match="second"):
        lock.take(first, "first")


def test_a_holder_at_work_or_alone_keeps_the_lock_however_long_it_takes():
    clock = Clock()
    lock, first, second = SessionLock(clock), object(), object()
    lock.take(first, "first")
    clock.now_s += 1800  # a measurement
    with pytest.raises(BoardBusyError):
        lock.take(second, "second")
    lock.rest(first)
    clock.now_s += 1800
    lock.take(first, "first")
    lock.give_back(first)
    lock.take(second, "second")


def test_when_all_places_are_taken_the_one_that_was_idle_longest_gives_way_first_of_all_without_a_greeting():
    clock = Clock()
    places = Places(3, clock)
    taken = [places.take() for _ in range(3)]
    greeted, busy, silent = taken
    greeted.greeted = busy.busy = True
    assert places.take() is None, "all have just come"
    clock.now_s += 6
    assert places.take() is not None
    assert silent.gave_way.is_set()
    clock.now_s += 30
    assert places.take() is not None  # that one had not greeted either
    assert not greeted.gave_way.is_set()
    assert places.take() is not None
    assert greeted.gave_way.is_set()
    assert not busy.gave_way.is_set()


def test_long_messages_of_all_sessions_share_one_budget():
    budget = MemoryBudget(24)
    budget.take(16)
    with pytest.raises(ProtocolError, match="no memory for a message of 16 bytes now: 8 of 24"):
        budget.take(16)
    budget.give_back(16)
    budget.take(24)
