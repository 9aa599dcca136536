"""Two connections on a virtual cable, and what each of them has received."""

from __future__ import annotations

import random

from firmware_bridge.links.faults import Faults
from firmware_bridge.protocol.connection import Connection
from firmware_bridge.protocol.messages import Message
from firmware_bridge.protocol.states import Role
from firmware_bridge.session.simulated import SimulatedCable


class SimulatedLine(SimulatedCable):
    """A cable whose ends are read at once; `run` advances time until a condition holds."""

    def __init__(self, seed: int, faults: Faults | None = None, *, reliable=False, rate_bytes_s=92160.0, **connection):
        session = random.Random(seed).randrange(1, 2**32)
        self.host = Connection(Role.HOST, reliable=reliable, session=session, **connection)
        self.board = Connection(Role.BOARD, reliable=reliable, **connection)
        super().__init__(self.host, self.board, seed, faults, rate_bytes_s=rate_bytes_s)
        self.received: dict[Connection, list[Message]] = {self.host: [], self.board: []}
        self.read_board = True
        self.host.open()

    @property
    def now(self) -> float:
        return self.now_s

    def run(self, done, limit_s: float) -> bool:
        """Advance until ``done()`` or the host fails; returns whether it was done within ``limit_s``."""
        end = self.now_s + limit_s
        while self.now_s < end:
            self.fetch()
            if done():
                return True
            self.step()
        return False

    def fetch(self) -> None:
        for end in self.ends:
            if end is self.board and not self.read_board:
                continue
            while (message := end.next_message()) is not None:
                self.received[end].append(message)
