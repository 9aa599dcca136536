"""Two ends of a session joined in virtual time: pace, delay and seeded faults, without threads, clocks or sleeping.

`SimulatedCable` joins two `Connection`s; a `SimulatedSession` is one end of it, as a `ThreadedSession` is of a real
link. A transfer that takes ten minutes of stalls and timeouts takes milliseconds here, and is the same in every run.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable

from firmware_bridge.errors import TransferError
from firmware_bridge.links.faults import Faults, FaultSource, garbled
from firmware_bridge.protocol.connection import Connection
from firmware_bridge.protocol.states import Role
from firmware_bridge.session.base import Session

__all__ = ["HungError", "SimulatedCable", "SimulatedSession"]

_BUFFER_BYTES = 2048  # what the system's output buffer takes before a writer must wait
_TICK_S = 1e-4
_IDLE_STEP_S = 0.25
_BITS_PER_BYTE = 10  # start, eight data, stop


class HungError(AssertionError):
    """Neither an end nor an error came in the time that there was: a bug, never a fault of the line."""


class SimulatedCable:
    """Carries what each of two ends writes to the other.

    Attributes:
        ends: the host's and the board's session; either may be replaced.
        now_s: the time.
        wire_bytes: bytes written by each end.
        cut: whether the cable is pulled out; nothing arrives any more.
    """

    def __init__(
        self,
        host: Connection,
        board: Connection,
        seed: int,
        faults: Faults | None = None,
        *,
        rate_bytes_s: float = 92160.0,
        delay_s: float = 0.008,
        carries_baud: float = math.inf,
        begin_s: float | None = None,
        reports_cut: bool = True,
    ) -> None:
        """Join two ends.

        Args:
            host: the host's session.
            board: the board's session.
            seed: of the faults.
            faults: in both directions.
            rate_bytes_s: of each direction, when the ends have no rate of their own.
            delay_s: until a byte that has left arrives.
            carries_baud: what is sent faster arrives as garbage, and so does what the ends have set differently.
            begin_s: the time at first; an end that was on another cable before must not see it run backwards.
            reports_cut: whether the host learns of a cut, as of an adapter that is unplugged; a board without power is
                just silent.
        """
        self.ends = [host, board]
        self.rate, self.delay = rate_bytes_s, delay_s
        self.now_s = 1000.0 + seed % 997 / 7 if begin_s is None else begin_s
        self.carries_baud = carries_baud
        self.reports_cut = reports_cut
        self.wire_bytes = [0, 0]
        self._bauds = [host.baud, board.baud]
        self.cut = False
        self.use_faults(faults or Faults(), seed)
        self._on_way: list[tuple[float, int, int, int, bytes]] = []
        self._free_at_s = [self.now_s, self.now_s]
        self._order = itertools.count()

    def use_faults(self, faults: Faults, seed: int = 0) -> None:
        """Go on with other faults."""
        self._sources = [FaultSource(faults, 2 * seed), FaultSource(faults, 2 * seed + 1)]

    def step(self, until_s: float = math.inf) -> None:
        """Let both ends write, and go to the next thing that happens, but not beyond ``until_s``."""
        for index in range(2):
            self._pump(index)
        times = [self._on_way[0][0]] if self._on_way else []
        for index, end in enumerate(self.ends):
            writable_s = self._writable_s(index)
            due_s = end.next_timeout_s(self.now_s)
            if due_s is not None:  # an end whose line is full cannot do anything about what is due
                times.append(max(self.now_s + due_s, writable_s))
            if writable_s > self.now_s:
                times.append(writable_s)
        at_s = max(self.now_s + _TICK_S, min(times, default=self.now_s + _IDLE_STEP_S))
        self.now_s = max(self.now_s, min(at_s, until_s))
        while self._on_way and self._on_way[0][0] <= self.now_s:
            _, _, index, baud, data = heapq.heappop(self._on_way)
            heard = self._bauds[index] or baud
            clean = baud in (0, heard) and baud <= self.carries_baud
            self.ends[index].receive_data(data if clean else garbled(data, baud, heard), self.now_s)

    def _rate(self, index: int) -> float:
        baud = self._bauds[index]
        return baud / _BITS_PER_BYTE if baud else self.rate

    def _writable_s(self, index: int) -> float:
        """Return when an end may write: with room in the buffer, or with none used when its rate is to be set."""
        waits = self.ends[index].baud != self._bauds[index]
        return self._free_at_s[index] - (0 if waits else _BUFFER_BYTES / self._rate(index))

    def _pump(self, index: int) -> None:
        """Let one end write while its line is free: a few frames may wait in the system's buffer."""
        end = self.ends[index]
        while self._writable_s(index) <= self.now_s:
            self._bauds[index] = end.baud
            data = end.data_to_send(self.now_s)
            if data:
                self._carry(index, data)
            elif end.baud == self._bauds[index]:
                return

    def _carry(self, index: int, data: bytes) -> None:
        struck = self._sources[index].strike(data)
        self.cut |= struck.disconnected
        self._free_at_s[index] = (
            max(self.now_s, self._free_at_s[index]) + struck.stall_s + len(data) / self._rate(index)
        )
        self.wire_bytes[index] += len(data)
        for piece in () if self.cut else struck.pieces:
            arrives_s = self._free_at_s[index] + self.delay
            heapq.heappush(self._on_way, (arrives_s, next(self._order), 1 - index, self._bauds[index], piece))


class SimulatedSession(Session):
    """One end of a `SimulatedCable`: time passes while something is waited for."""

    def __init__(
        self,
        cable: SimulatedCable,
        connection: Connection,
        *,
        meanwhile: Callable[[], None] | None = None,
        limit_s: float = 3600.0,
    ) -> None:
        """Take an end.

        Args:
            cable: what it belongs to.
            connection: its session.
            meanwhile: called whenever time has passed here, to serve the other end.
            limit_s: after how much time, in all, the transfer counts as hung.
        """
        super().__init__("virtual:", connection, lambda: cable.now_s, reliable=False)
        self._cable = cable
        self._meanwhile = meanwhile
        self._limit_s = cable.now_s + limit_s

    def close(self, reason: str = "") -> None:
        """End the session and tell the peer, if the cable still carries anything."""
        self._connection.close(reason)
        self._cable.step(self._cable.now_s)

    def _wait(self, most_s: float) -> None:
        self._cable.step(self._cable.now_s + most_s)
        if self._meanwhile is not None:
            self._meanwhile()
        if self._cable.now_s > self._limit_s:
            raise HungError(f"{self.name} neither ended nor failed")

    def _flush(self) -> None:
        """Nothing to do: the cable's next step takes it."""

    def _fault(self) -> TransferError | None:
        if self._cable.cut and self._cable.reports_cut and self._connection.role is Role.HOST:
            return TransferError(f"{self.name} was disconnected")
        return None
