"""A served board for a test: the real server in a thread, the service in memory, any link between."""

from __future__ import annotations

import threading
from contextlib import contextmanager

from firmware_bridge.agent.server import SessionEnd, serve
from firmware_bridge.agent.session_rules import SessionLock
from firmware_bridge.host.board import Board
from firmware_bridge.links.faults import Faults, FaultyLink
from firmware_bridge.links.memory import memory_pair
from tests.host.memory_service import MemoryService


class ServedBoard:
    """The board's side of one link, in a thread of its own."""

    def __init__(self, link, service, lock: SessionLock | None = None) -> None:
        self.end: SessionEnd | None = None
        self.stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(link, service, lock))
        self._thread.start()

    def _run(self, link, service, lock) -> None:
        self.end = serve(link, service, lock=lock, stop=self.stop)

    def wait(self, limit_s: float = 10.0) -> None:
        self._thread.join(limit_s)
        assert not self._thread.is_alive(), "the server did not end"

    def close(self) -> None:
        self.stop.set()
        self.wait()


@contextmanager
def memory_board(
    service: MemoryService | None = None,
    *,
    reliable: bool = True,
    faults: Faults | None = None,
    seed: int = 1,
    lock: SessionLock | None = None,
    name: str = "test host",
    silence_s: float | None = None,
):
    """Yield an open `Board` and its service over a pair of memory links, with faults both ways."""
    service = service or MemoryService()
    here, there = memory_pair(reliable=reliable)
    if faults is not None:
        here, there = FaultyLink(here, faults, seed), FaultyLink(there, faults, seed + 1)
    served = ServedBoard(there, service, lock)
    try:
        with Board(here, name, silence_s=silence_s) as board:
            yield board, service
    finally:
        here.close()
        served.close()
