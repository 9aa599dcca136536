"""The rate of the line: raised when it pays, given up when it does not carry; the ends always meet again."""

from __future__ import annotations

import random

import pytest

from firmware_bridge.errors import TransferError
from firmware_bridge.links.faults import Faults
from firmware_bridge.protocol import messages as m
from firmware_bridge.protocol.connection import Connection
from firmware_bridge.protocol.frames import Open, RateAnswer, RateRequest, pack
from firmware_bridge.protocol.rates import BoardRate, HostRate
from firmware_bridge.protocol.states import Role, State
from tests.protocol.simulated_line import SimulatedLine
from tests.protocol.test_connection import HELLO, chunks, send_all

SLOW, FAST, FASTER = 115200, 921600, 3_000_000
BAUDS = (SLOW, FAST, FASTER)


def rated_line(seed: int, faults: Faults | None = None, *, board_bauds=BAUDS, carries_baud=10e6) -> SimulatedLine:
    line = SimulatedLine(seed, faults, bauds=BAUDS)
    if board_bauds != BAUDS:
        line.board = line.ends[1] = Connection(Role.BOARD, reliable=False, bauds=board_bauds)
        line.received[line.board] = []
    line.carries_baud = carries_baud
    return line


def bauds(line: SimulatedLine) -> tuple[int, int]:
    return line.host.baud, line.board.baud


def test_a_long_transfer_raises_the_rate_and_arrives_at_its_pace():
    line = rated_line(1)
    begun = line.now
    send_all(line, chunks(1, 64))
    assert bauds(line) == (FASTER, FASTER)
    assert 64 * 16384 / (line.now - begun) > 0.9 * FASTER / 10


def test_a_short_exchange_leaves_the_rate_alone():
    line = rated_line(2)
    send_all(line, [HELLO, m.GetInfo()])
    assert bauds(line) == (SLOW, SLOW)


def test_the_board_takes_the_fastest_rate_that_it_can_do():
    line = rated_line(3, board_bauds=(SLOW, FAST))
    send_all(line, chunks(3, 8))
    assert bauds(line) == (FAST, FAST)


@pytest.mark.parametrize("board_bauds", [(SLOW,), ()])
def test_a_board_that_can_do_none_says_so_and_nothing_is_lost_by_asking(board_bauds):
    line, plain = rated_line(4, board_bauds=board_bauds), SimulatedLine(4, bauds=(SLOW,))
    times = []
    for each in (line, plain):
        begun = each.now
        send_all(each, chunks(4, 8))
        times.append(each.now - begun)
    assert bauds(line)[0] == SLOW
    assert times[0] - times[1] < 0.1


def test_a_board_that_does_not_know_the_request_costs_a_second():
    host = Connection(Role.HOST, reliable=False, session=2**24, bauds=BAUDS)
    board = Connection(Role.BOARD, reliable=False)
    host.open()
    host.send(chunks(5, 1)[0])
    requests = 0
    for at in (t / 100 for t in range(300)):
        for _ in range(20):
            out = host.data_to_send(at)
            if pack(RateRequest((FASTER, FAST)), 2**24, from_board=False) in out:
                requests += 1  # as an older board does, it is passed over
                out = b""
            board.receive_data(out, at)
            host.receive_data(board.data_to_send(at), at)
        if board.next_message() is not None:
            break
    else:
        pytest.fail("the chunk never arrived")
    assert 1 < requests < 10
    assert at < 1.5


def test_a_rate_that_the_cable_does_not_carry_is_given_up_for_the_next_one():
    line = rated_line(6, carries_baud=FAST)
    begun = line.now
    send_all(line, chunks(6, 64))
    assert bauds(line) == (FAST, FAST)
    assert line.now - begun < 64 * 16384 / (FAST / 10) / 0.95 + 2.5


def test_a_cable_that_carries_nothing_faster_ends_where_it_began():
    line = rated_line(7, carries_baud=SLOW)
    send_all(line, chunks(7, 16))
    assert bauds(line) == (SLOW, SLOW)


def test_a_rate_that_stops_carrying_is_dropped_and_the_transfer_goes_on():
    line = rated_line(8)
    messages = chunks(8, 64)
    for message in messages:
        line.host.send(message)
    assert line.run(lambda: len(line.received[line.board]) >= 20, 30)
    assert bauds(line) == (FASTER, FASTER)
    line.carries_baud = SLOW
    assert line.run(lambda: len(line.received[line.board]) >= 24, 15)
    assert bauds(line) == (SLOW, SLOW)
    assert line.run(lambda: len(line.received[line.board]) >= 64, 120)
    assert line.received[line.board] == messages


def test_a_rate_with_so_many_errors_that_a_lower_one_carries_more_is_left():
    line = SimulatedLine(9, bauds=(SLOW, 2_000_000, FASTER))
    for message in chunks(9, 200):
        line.host.send(message)
    assert line.run(lambda: bauds(line) == (FASTER, FASTER) and len(line.received[line.board]) > 8, 10)
    line.use_faults(Faults(corrupt=4e-3))
    assert line.run(lambda: bauds(line) == (2_000_000, 2_000_000), 20)
    line.use_faults(Faults())  # as it is at a lower rate
    assert line.run(lambda: len(line.received[line.board]) == 200, 60)
    assert bauds(line) == (2_000_000, 2_000_000)


def test_a_new_host_finds_the_board_at_the_rate_it_knows():
    line = rated_line(10)
    send_all(line, chunks(10, 16))
    assert bauds(line) == (FASTER, FASTER)
    line.host = line.ends[0] = Connection(Role.HOST, reliable=False, session=2**25, bauds=BAUDS)
    line.received[line.host] = []
    line.host.open()
    begun = line.now
    assert line.run(lambda: line.host.state is State.OPEN, 10)
    assert line.now - begun < 6


def test_a_session_that_ends_leaves_the_board_at_its_first_rate():
    line = rated_line(11)
    send_all(line, chunks(11, 16))
    line.host.close()
    assert line.run(lambda: line.board.state is State.LISTENING and line.board.baud == SLOW, 1)


def test_a_board_that_fails_says_why_at_the_rate_at_which_it_is_heard():
    line = rated_line(12)
    send_all(line, chunks(12, 16))
    line.board.close("out of memory")
    with pytest.raises(TransferError, match="out of memory"):
        line.run(lambda: False, 5)
    assert line.board.baud == SLOW


@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_lost_of_an_agreement_the_transfer_arrives(seed):
    source = random.Random(seed)
    faults = Faults(
        corrupt=source.choice([0, 1e-4, 2e-3]), lose=source.choice([0.1, 0.3]), duplicate=source.choice([0, 0.2])
    )
    line = rated_line(seed, faults, carries_baud=source.choice([SLOW, FAST, FASTER]))
    send_all(line, chunks(seed, 24), 1200)


@pytest.mark.parametrize("answer", [0, 12345, SLOW, FAST, FASTER])
def test_an_answer_that_was_not_asked_for_changes_nothing(answer):
    line = SimulatedLine(13, bauds=BAUDS)
    send_all(line, [HELLO])
    line.host.receive_data(pack(RateAnswer(answer), line.host.session, from_board=True), line.now)
    assert line.host.baud == SLOW


def test_a_late_answer_changes_nothing_any_more():
    line = rated_line(14, carries_baud=SLOW)
    send_all(line, chunks(14, 16))
    for baud in (FAST, FASTER):
        line.host.receive_data(pack(RateAnswer(baud), line.host.session, from_board=True), line.now)
        assert line.host.baud == SLOW


def test_what_was_on_its_way_when_the_rate_changed_is_sent_again_and_teaches_nothing():
    line = rated_line(16)
    for message in chunks(16, 16):
        line.host.send(message)
    assert line.run(lambda: bauds(line) == (FASTER, FASTER) and len(line.received[line.board]) > 4, 10)
    line.carries_baud = SLOW
    assert line.run(lambda: line.host.statistics.frame_bytes < 512, 3), "nothing arrives: frames shrink"
    assert line.run(lambda: bauds(line) == (SLOW, SLOW), 6)
    assert line.host.statistics.frame_bytes > 512


def test_an_agreement_does_not_outlive_its_session():
    line = rated_line(20)
    send_all(line, [HELLO])
    line.board.receive_data(pack(RateRequest((FASTER,)), line.host.session, from_board=False), line.now)
    line.board.receive_data(pack(Open(1, 2**26, 128, 512, 4096), 0, from_board=False), line.now)
    while line.board.data_to_send(line.now):
        pass
    assert line.board.session == 2**26
    assert line.board.baud == SLOW


def test_an_idle_host_notices_after_two_seconds_that_the_board_is_not_heard():
    line = rated_line(17)
    send_all(line, chunks(17, 16))
    line.carries_baud = SLOW
    assert line.run(lambda: line.host.baud == SLOW, 4.2)  # a ping every two seconds, and two seconds for its answer


def test_asking_does_not_keep_the_processor_busy():
    line = SimulatedLine(18, bauds=BAUDS)
    send_all(line, [HELLO])
    host, now = line.host, line.now + 1.99  # when it would ping soon
    host.send(chunks(18, 1)[0])
    wakes = 0
    while now < line.now + 3.2:
        wakes += 1
        while host.data_to_send(now):
            pass
        now += max(1e-3, host.next_timeout_s(now))
    assert wakes < 60


@pytest.mark.parametrize("after_s", [0.08, 0.3, 0.9])
def test_a_host_that_leaves_while_a_rate_is_tried_does_not_hold_the_board_for_longer_than_any_other(after_s):
    line = rated_line(19, carries_baud=SLOW)
    line.host.send(chunks(19, 1)[0])
    begun = line.now
    line.run(lambda: line.now >= begun + after_s, 2)
    line.host.close()
    assert line.run(lambda: line.board.state is State.LISTENING, 31)
    assert line.board.baud == SLOW


class TestBoardRate:
    """The board's end by itself: times from the answer on."""

    def changed(self) -> BoardRate:
        rate = BoardRate(BAUDS)
        rate.on_heard(10.0)
        rate.on_request((FASTER, FAST))
        assert rate.next_frame(10.0) == RateAnswer(FASTER)
        return rate

    def test_the_trial_begins_when_the_line_is_set_and_ends_unheard(self):
        rate = self.changed()
        rate.tick(15.0)  # as long as the answer takes to leave
        assert rate.baud == FASTER
        rate.on_set(15.0)
        rate.tick(15.79)
        assert rate.baud == FASTER
        rate.tick(15.81)
        assert rate.baud == SLOW

    def test_what_is_heard_before_the_line_is_set_proves_nothing(self):
        rate = self.changed()
        rate.on_heard(10.01)
        rate.on_request((FASTER, FAST))  # repeated
        assert rate.next_frame(10.02) is None
        rate.on_set(10.05)
        rate.tick(10.9)
        assert rate.baud == SLOW

    @pytest.mark.parametrize(("garbage_bytes", "lasts_s"), [(31, 5.0), (32, 1.0)])  # 31: too few to mean anything
    def test_a_rate_at_which_the_host_was_heard_lasts_a_while_of_silence_or_of_garbage(self, garbage_bytes, lasts_s):
        rate = self.changed()
        rate.on_set(10.05)
        rate.on_heard(10.1)
        rate.on_bytes(garbage_bytes)
        rate.tick(10.0 + lasts_s)
        assert rate.baud == FASTER
        rate.tick(10.2 + lasts_s)
        assert rate.baud == SLOW

    @pytest.mark.parametrize("forget", [BoardRate.reset, BoardRate.on_open])
    def test_an_agreement_belongs_to_its_session(self, forget):
        rate = BoardRate(BAUDS)
        rate.on_request((FASTER,))
        forget(rate)
        assert rate.next_frame(10.0) is None


def test_a_host_asks_a_silent_board_twice_and_not_for_ever():
    rate = HostRate(BAUDS)
    asked = 0
    for at in range(3000):
        rate.on_load(100_000, 0.97, at / 100)
        asked += rate.next_frame(at / 100) is not None
        rate.tick(at / 100)
    assert asked == 8
    assert not rate.holds
