"""Whatever is sent, lost, repeated, damaged and started anew, in any order: a prefix of what was sent arrives."""

from __future__ import annotations

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from firmware_bridge.links.faults import garbled
from firmware_bridge.protocol import messages as m
from firmware_bridge.protocol.connection import Connection
from firmware_bridge.protocol.sizes import Sizes
from firmware_bridge.protocol.states import TRANSITIONS, Role, State

SMALL = Sizes(segment_bytes=16, frame_bytes=128, window_bytes=1024)
HOST, BOARD = 0, 1
SILENCE_S = 1e6  # silence has tests of its own; here a long wait must not end a session
MAX_WRITES = 40
HEALING_STEPS = 4000
AGREE_S = 8.0  # on a line that works, the two ends never have different rates for longer

BAUDS = (1200, 2400, 4800)  # slow: whatever is sent is worth an agreement

ends = st.sampled_from([HOST, BOARD])


class TwoEnds(RuleBasedStateMachine):
    """A host and a board, and what is on its way between them; hypothesis plays the line and the users."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0
        self.sessions = 0
        self.board = Connection(Role.BOARD, reliable=False, sizes=SMALL, silence_s=SILENCE_S, bauds=BAUDS)
        self.bauds = [BAUDS[0], BAUDS[0]]
        self.carries_baud = BAUDS[-1]
        self.begin()

    def begin(self) -> None:
        """A host starts; an earlier one on this line is forgotten without a word."""
        self.sessions += 1
        session = self.sessions * 0x9E3779B1 % 2**32
        self.host = Connection(
            Role.HOST, reliable=False, session=session, sizes=SMALL, silence_s=SILENCE_S, bauds=BAUDS
        )
        self.host.open()
        self.ends = [self.host, self.board]
        self.on_way = getattr(self, "on_way", None) or [deque(), deque()]
        self.bauds[HOST] = BAUDS[0]
        self.sent: list[list[m.Message]] = [[], []]
        self.got: list[list[m.Message]] = [[], []]
        self.generation = self.board.generation

    @property
    def open(self) -> bool:
        """Whether the board serves the host of now."""
        return self.board.state is State.OPEN and self.board.session == self.host.session

    @precondition(lambda self: self.host.state in (State.OPENING, State.OPEN))
    @rule(size=st.integers(0, 300))
    def host_sends(self, size: int) -> None:
        message = m.Chunk(len(self.sent[HOST]), bytes(size), deflated=False)
        self.host.send(message)
        self.sent[HOST].append(message)

    @precondition(lambda self: self.open)
    @rule(size=st.integers(0, 300))
    def board_answers(self, size: int) -> None:
        message = m.TrustState(bytes([len(self.sent[BOARD]) % 256]) * size)
        self.board.send(message)
        self.sent[BOARD].append(message)

    @rule(end=ends, most=st.integers(1, 10))
    def writes(self, end: int, most: int) -> None:
        for _ in range(most):
            self.bauds[end] = self.ends[end].baud
            data = self.ends[end].data_to_send(self.now_s)
            if len(self.on_way[end]) > MAX_WRITES or (not data and self.ends[end].baud == self.bauds[end]):
                return
            if data:
                self.on_way[end].append((self.bauds[end], data))

    @precondition(lambda self: any(self.on_way))
    @rule(
        end=ends, fate=st.sampled_from(["whole", "whole", "whole", "lost", "twice", "damaged", "cut"]), data=st.data()
    )
    def arrives(self, end: int, fate: str, data: st.DataObject) -> None:
        if not self.on_way[end]:
            return
        baud, piece = self.on_way[end].popleft()
        at = data.draw(st.integers(0, len(piece) - 1))
        if fate == "damaged":
            piece = piece[:at] + bytes([piece[at] ^ data.draw(st.integers(1, 255))]) + piece[at + 1 :]
        elif fate == "cut":
            piece = piece[:at]
        for _ in range({"lost": 0, "twice": 2}.get(fate, 1)):
            self.hand_over(1 - end, piece, baud)

    def hand_over(self, end: int, piece: bytes, baud: int) -> None:
        heard = self.bauds[end]
        clean = baud == heard and baud <= self.carries_baud
        self.ends[end].receive_data(piece if clean else garbled(piece, baud, heard), self.now_s)
        if end == BOARD and self.board.generation != self.generation:
            self.generation = self.board.generation
            self.got[BOARD].clear()
            self.sent[BOARD].clear()

    @rule(end=ends)
    def reads(self, end: int) -> None:
        while (message := self.ends[end].next_message()) is not None:
            if end == HOST or self.open:
                self.got[end].append(message)

    @rule(seconds=st.sampled_from([0.001, 0.05, 0.3, 1.0, 5.0]))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(noise=st.sampled_from([b"\0", b"login: ", b"\xff\x00\x01", b"\x05abc\x00"]), end=ends)
    def something_else_is_on_the_line(self, noise: bytes, end: int) -> None:
        self.hand_over(end, noise, self.bauds[end])

    @rule(baud=st.sampled_from(BAUDS))
    def the_cable_is_another(self, baud: int) -> None:
        self.carries_baud = baud

    @rule()
    def a_new_host_starts(self) -> None:
        self.begin()

    @invariant()
    def what_was_read_is_a_prefix_of_what_was_sent(self) -> None:
        for end in (HOST, BOARD):
            if self.open or end == HOST:
                assert self.got[end] == self.sent[1 - end][: len(self.got[end])]

    @invariant()
    def no_fault_of_the_line_ends_a_session(self) -> None:
        assert self.host.state in (State.OPENING, State.OPEN)
        assert self.host.failure is None
        assert self.board.state in TRANSITIONS[Role.BOARD]

    def teardown(self) -> None:
        """On a line that works again, everything arrives."""
        agreed_s = self.now_s
        for _ in range(HEALING_STEPS):
            if self.host.baud == self.board.baud:
                agreed_s = self.now_s
            assert self.now_s - agreed_s < AGREE_S, f"no common rate: {self.host.baud}, {self.board.baud}"
            for end in (HOST, BOARD):
                self.writes(end, 4)
                while self.on_way[end]:
                    baud, piece = self.on_way[end].popleft()
                    self.hand_over(1 - end, piece, baud)
                self.reads(end)
            if self.open and all(self.got[end] == self.sent[1 - end] for end in (HOST, BOARD)):
                return
            self.now_s += 0.05
        raise AssertionError(f"hung: {self.host.state}, {self.board.state}")


TestTwoEnds = TwoEnds.TestCase
TestTwoEnds.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
