"""Two connections joined by a line in simulated time: delay, pace and seeded faults, without threads or sleeping."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass

from firmware_bridge.errors import TransferError
from firmware_bridge.protocol.connection import Connection
from firmware_bridge.protocol.messages import Message
from firmware_bridge.protocol.states import Role


@dataclass
class LineFaults:
    corrupt: float = 0.0  # for each byte
    lose: float = 0.0  # for each write, as all below
    duplicate: float = 0.0
    truncate: float = 0.0
    stall: float = 0.0
    stall_s: float = 0.5
    garbage: float = 0.0


class SimulatedLine:
    """Carries what each end writes to the other; `run` advances time until a condition holds."""

    def __init__(
        self,
        seed: int,
        faults: LineFaults | None = None,
        *,
        rate_bytes_s: float = 92160.0,
        delay_s: float = 0.008,
        reliable: bool = False,
        **connection,
    ) -> None:
        self.random = random.Random(seed)
        self.faults = faults or LineFaults()
        self.rate, self.delay = rate_bytes_s, delay_s
        self.now = 1000.0 + self.random.random() * 1000
        self.host = Connection(Role.HOST, reliable=reliable, session=self.random.randrange(1, 2**32), **connection)
        self.board = Connection(Role.BOARD, reliable=reliable, **connection)
        self.ends = [self.host, self.board]
        self.received: dict[Connection, list[Message]] = {self.host: [], self.board: []}
        self.read_board = True
        self.queue: list[tuple[float, int, int, bytes]] = []
        self.free_at = [self.now, self.now]
        self.count = 0
        self.wire_bytes = [0, 0]
        self.host.open()

    def run(self, done, limit_s: float) -> bool:
        """Advance until ``done()`` or the host fails; returns whether it was done within ``limit_s``."""
        end = self.now + limit_s
        while self.now < end:
            for index in range(2):
                self.pump(index)
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

    def pump(self, index: int) -> None:
        """Let one end write while its line is free: a few frames may wait in the system's buffer."""
        while self.free_at[index] <= self.now + 2048 / self.rate:
            data = self.ends[index].data_to_send(self.now)
            if not data:
                return
            self.carry(index, data)

    def carry(self, index: int, data: bytes) -> None:
        happens = lambda p: p > 0 and self.random.random() < p  # noqa: E731
        faults = self.faults
        begin = max(self.now, self.free_at[index])
        if happens(faults.stall):
            begin += faults.stall_s
        self.free_at[index] = begin + len(data) / self.rate
        self.wire_bytes[index] += len(data)
        if happens(faults.lose):
            return
        if happens(faults.truncate):
            data = data[: self.random.randrange(len(data))]
        if faults.corrupt:
            data = bytes(
                b ^ self.random.randrange(1, 256) if self.random.random() < faults.corrupt else b for b in data
            )
        if happens(faults.garbage):
            data = self.random.choice([b"ks100 login: ", b"\x00\x00", b"[    0.1234] boot\r\n", b"\x05abc\x00"]) + data
        for _ in range(2 if happens(faults.duplicate) else 1):
            self.count += 1
            heapq.heappush(self.queue, (self.free_at[index] + self.delay, self.count, 1 - index, data))

    def step(self) -> None:
        """Go to the next thing that happens."""
        times = [self.queue[0][0]] if self.queue else []
        for index, end in enumerate(self.ends):
            due = end.next_timeout_s(self.now)
            if due is not None:
                times.append(self.now + due)
            if self.free_at[index] > self.now:
                times.append(self.free_at[index])
        self.now = max(self.now + 1e-4, min(times, default=self.now + 1.0))
        while self.queue and self.queue[0][0] <= self.now:
            _, _, index, data = heapq.heappop(self.queue)
            self.ends[index].receive_data(data, self.now)

    def failed(self) -> TransferError | None:
        return self.host.failure
