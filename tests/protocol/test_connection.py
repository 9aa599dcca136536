"""The session's promises, in simulated time: exactly once, in order, or a clear failure; never a hang."""

from __future__ import annotations

import random

import pytest

from firmware_bridge.errors import ProtocolError, TransferError
from firmware_bridge.links.faults import Faults
from firmware_bridge.protocol import cobs
from firmware_bridge.protocol import messages as m
from firmware_bridge.protocol.connection import Connection
from firmware_bridge.protocol.frames import Ack, Close, Open, pack
from firmware_bridge.protocol.sizes import UNRELIABLE
from firmware_bridge.protocol.states import TRANSITIONS, Event, Role, State, next_state
from tests.protocol.simulated_line import SimulatedLine

HELLO = m.Hello(1, "lab")
WELCOME = m.Welcome(1, "ks100", "M0001")


def chunks(seed: int, count: int, size: int = 16384) -> list[m.Chunk]:
    source = random.Random(seed)
    return [m.Chunk(i, source.randbytes(size), deflated=False) for i in range(count)]


def send_all(line: SimulatedLine, messages: list[m.Message], limit_s: float = 600.0) -> None:
    for message in messages:
        line.host.send(message)
    assert line.run(lambda: len(line.received[line.board]) >= len(messages), limit_s), f"hung at {line.now}"
    assert line.received[line.board] == messages


@pytest.mark.parametrize("reliable", [True, False])
def test_messages_sent_before_the_session_is_open_arrive_once_it_is(reliable):
    line = SimulatedLine(1, reliable=reliable)
    send_all(line, [HELLO, m.GetInfo()])
    line.board.send(WELCOME)
    assert line.run(lambda: bool(line.received[line.host]), 5)
    assert line.received[line.host] == [WELCOME]


@pytest.mark.parametrize("reliable", [True, False])
def test_a_message_larger_than_the_window_arrives_whole(reliable):
    line = SimulatedLine(2, reliable=reliable, rate_bytes_s=1e7)
    store = random.Random(2).randbytes(3_000_000)
    send_all(line, [HELLO, m.Provision(store)])


@pytest.mark.parametrize("seed", range(40))
def test_every_mixture_of_faults_delivers_exactly_once_and_in_order(seed):
    source = random.Random(seed)
    faults = Faults(
        corrupt=source.choice([0, 1e-5, 1e-4, 1e-3]),
        lose=source.choice([0, 0.05, 0.2]),
        duplicate=source.choice([0, 0.1]),
        truncate=source.choice([0, 0.05, 0.1]),
        stall=source.choice([0, 0.01]),
        stall_s=0.5,
        garbage=source.choice([0, 0.1]),
    )
    line = SimulatedLine(seed, faults, silence_s=120)
    send_all(line, [HELLO, *chunks(seed, 3), m.Finish()])


def test_a_line_that_loses_most_of_what_it_carries_still_gets_there():
    line = SimulatedLine(7, Faults(corrupt=4e-3), silence_s=120)
    send_all(line, chunks(7, 2), 3600)
    assert line.host.statistics.frame_bytes <= 256


@pytest.mark.parametrize(("error_rate", "least"), [(0.0, 0.975), (1e-5, 0.96), (1e-4, 0.88)])
def test_payload_reaches_its_share_of_the_line(error_rate, least):
    line = SimulatedLine(3, Faults(corrupt=error_rate))
    begun = line.now
    send_all(line, chunks(3, 64))
    share = 64 * 16384 / ((line.now - begun) * line.rate)
    assert share >= least, f"{share:.4f}"


def test_frames_shrink_on_errors_and_grow_back_on_a_clean_line():
    line = SimulatedLine(4, Faults(corrupt=1e-3))
    send_all(line, chunks(4, 8))
    shrunk = line.host.statistics.frame_bytes
    line.use_faults(Faults())
    line.received[line.board].clear()
    send_all(line, chunks(5, 96))
    assert shrunk <= 256
    assert line.host.statistics.frame_bytes >= 3000


def test_credits_stop_the_sender_when_the_board_does_not_read():
    line = SimulatedLine(5)
    line.read_board = False
    for chunk in chunks(5, 20):
        line.host.send(chunk)
    line.run(lambda: False, 30)
    held = 20 * 16384 - line.host.unsent_bytes
    assert held <= 2 * UNRELIABLE.window_bytes + 16384
    assert line.host.state is State.OPEN, "a stall is no failure while the board's link answers"
    line.read_board = True
    assert line.run(lambda: len(line.received[line.board]) == 20, 60)


def test_a_dead_board_fails_the_host_after_the_silence_and_says_so():
    line = SimulatedLine(6, Faults(lose=1.0))
    begun = line.now
    with pytest.raises(TransferError, match=r"no KS-100 answers .*waited 10 s"):
        line.run(lambda: False, 60)
    assert 10 <= line.now - begun <= 11


def test_a_board_that_dies_in_the_middle_fails_the_host():
    line = SimulatedLine(8)
    send_all(line, [HELLO])
    line.use_faults(Faults(lose=1.0))
    line.host.send(m.GetInfo())
    with pytest.raises(TransferError, match="gone silent"):
        line.run(lambda: False, 60)


def test_an_idle_session_stays_open_for_hours_by_its_keepalives():
    line = SimulatedLine(9)
    send_all(line, [HELLO])
    sent = line.wire_bytes[0]
    line.run(lambda: False, 3600)
    send_all_after = [m.GetInfo()]
    line.received[line.board].clear()
    send_all(line, send_all_after)
    assert line.wire_bytes[0] - sent < 3600 * 20


def test_a_host_that_is_gone_ends_the_boards_session():
    line = SimulatedLine(10)
    send_all(line, [HELLO])
    line.ends[0] = Connection(Role.HOST, reliable=False, session=1)  # one that never opens
    line.received[line.ends[0]] = []
    line.run(lambda: False, 31)
    assert line.board.state is State.LISTENING


def test_a_new_host_on_the_same_line_takes_over_and_old_frames_are_not_believed():
    line = SimulatedLine(11)
    send_all(line, [HELLO, *chunks(11, 1)])
    old = line.host
    old.send(m.Activate("b"))
    stale = old.data_to_send(line.now)
    line.host = line.ends[0] = Connection(Role.HOST, reliable=False, session=99)
    line.received[line.host] = []
    line.received[line.board].clear()
    line.host.open()
    line.host.send(m.Hello(1, "new"))
    assert line.run(lambda: bool(line.received[line.board]), 5)
    line.board.receive_data(stale, line.now)
    line.run(lambda: False, 1)
    assert line.received[line.board] == [m.Hello(1, "new")]
    assert line.board.generation == 2


def test_a_login_prompt_that_echoes_everything_is_named():
    host = Connection(Role.HOST, reliable=False, session=5)
    host.open()
    now = 0.0
    while host.failure is None:
        sent = host.data_to_send(now)
        host.receive_data(b"ks100 login: " + sent + b"\r\nPassword: ", now)
        now += 0.1
    assert "echoes" in str(host.failure)


def test_what_a_boot_log_says_stands_in_the_error():
    host = Connection(Role.HOST, reliable=False, session=5)
    host.open()
    now = 0.0
    while host.failure is None:
        host.data_to_send(now)
        host.receive_data(b"[    1.0] Kernel panic\r\n", now)
        now += 0.5
    assert "Kernel panic" in str(host.failure)


def test_a_boot_log_in_front_of_the_session_does_no_harm():
    line = SimulatedLine(12)
    line.host.receive_data(b"U-Boot 2024.01\r\n\x00\xff\x00 Starting kernel ...\r\n" * 200, line.now)
    line.board.receive_data(b"\r\nroot\r\n" * 3000, line.now)
    send_all(line, [HELLO])


def test_closing_tells_the_board():
    line = SimulatedLine(13)
    send_all(line, [HELLO])
    line.host.close("done")
    line.run(lambda: line.board.state is State.LISTENING, 1)
    assert line.board.state is State.LISTENING
    assert line.host.state is State.CLOSED
    with pytest.raises(TransferError, match="closed"):
        line.host.send(HELLO)


def test_a_board_of_another_framing_version_refuses_by_name():
    board = Connection(Role.BOARD, reliable=False)
    board.receive_data(b"\0" + pack(Open(9, 7, 128, 64, 1024), 0, from_board=False), 1.0)
    host = Connection(Role.HOST, reliable=False, session=7)
    host.open()
    host.data_to_send(1.0)
    host.receive_data(board.data_to_send(1.0), 1.0)
    with pytest.raises(TransferError, match="speaks version 1"):
        host.next_message()
    assert board.state is State.LISTENING


@pytest.mark.parametrize(
    "frame",
    [Ack(0, 2**31, 64, b""), Ack(0, 0, 64, b"\xff" * 40)],
    ids=["segments never sent", "bitmap beyond what was sent"],
)
def test_an_acknowledgement_of_what_was_never_sent_fails_the_session(frame):
    line = SimulatedLine(14)
    send_all(line, [HELLO])
    line.host.receive_data(pack(frame, line.host.session, from_board=True), line.now)
    with pytest.raises(ProtocolError):
        line.host.next_message()


def test_an_announced_message_beyond_the_cap_fails_before_memory_is_taken():
    line = SimulatedLine(15)
    send_all(line, [HELLO])
    line.host._out.write(b"\xff\xff\xff\x7f" + bytes(100))
    with pytest.raises(TransferError, match="2147483647 bytes is announced"):
        line.run(lambda: False, 5)
    assert line.board.state is State.LISTENING


def test_a_repeated_close_notice_ends_only_its_own_session():
    line = SimulatedLine(16)
    send_all(line, [HELLO])
    line.board.receive_data(pack(Close("old"), 12345, from_board=False), line.now)
    assert line.board.state is State.OPEN


def test_random_bytes_never_raise_and_never_open_a_session():
    source = random.Random(17)
    for role in Role:
        end = Connection(role, reliable=False, session=3)
        end.open()
        for step in range(300):
            end.receive_data(source.randbytes(source.randrange(3000)), float(step) / 100)
            end.data_to_send(step / 100)
        assert end.state in (State.OPENING, State.LISTENING)


def test_well_stuffed_rubbish_never_raises():
    source = random.Random(18)
    line = SimulatedLine(18)
    send_all(line, [HELLO])
    for _ in range(3000):
        line.board.receive_data(cobs.encode(source.randbytes(source.randrange(1, 60))), line.now)
    line.received[line.board].clear()
    send_all(line, [m.GetInfo()])


@pytest.mark.parametrize("role", Role)
def test_the_state_table_has_a_place_for_every_state_of_its_role_and_only_leads_there(role):
    table = TRANSITIONS[role]
    reached = {state for row in table.values() for state in row.values()}
    assert reached <= set(table)
    assert next_state(role, State.OPEN, Event.FAIL) in (State.FAILED, State.LISTENING)
