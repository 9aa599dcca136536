"""One dialogue of every request between a host and a board, kept as the bytes that crossed the link.

`python -m tests.protocol.peer_dialogue` writes the dialogue of this version of the messages to
`tests/protocol/peers/version_N.json`. It is run once, before `MESSAGES_VERSION` is raised; `test_older_peers.py` then
lets today's ends speak to the recorded ones for as long as that version is supported.
"""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from firmware_bridge.agent.server import serve
from firmware_bridge.agent.session_rules import SessionLock
from firmware_bridge.errors import BridgeError
from firmware_bridge.host.board import Board
from firmware_bridge.links.memory import memory_pair
from firmware_bridge.protocol.connection import Connection
from firmware_bridge.protocol.frames import PrefixRequest
from tests.host.memory_service import MemoryPackage, MemoryService

SESSION = 0x12345678
HOST, HOLDER = "bench 2", "bench 3"
PEERS = Path(__file__).parent / "peers"
PACKAGE = MemoryPackage(random.Random(7).randbytes(300))  # does not deflate
DEFLATED = MemoryPackage(bytes(2000))
FORGED = MemoryPackage(PACKAGE.payload)
FORGED.head = b"forged" + FORGED.head


def dialogue(board: Board, hold: Callable[[bool], None]) -> list[object]:
    """Ask a board everything; return each answer, or the error that stands for it.

    Args:
        board: an open board.
        hold: called with True when another host is to take the board's lock, and with False when it is to give it back.
    """
    hold(True)
    answers: list[object] = [_outcome(lambda: board.activate("b"))]
    hold(False)
    calls: list[Callable[[], object]] = [
        board.info,
        board.trust,
        lambda: board.provision(b"store"),
        board.trust,
        lambda: board.push(FORGED),
        lambda: board.push(PACKAGE),
        lambda: board.activate("a"),
        lambda: board.activate("b"),
        board.confirm,
        lambda: board.infer({"x": np.arange(4, dtype=np.int8)}).latency_ms,
        lambda: board.measure(frames=2, warmup=1, rate_hz=30.0, idle_s=0.5, inputs={"x": np.zeros(2, np.int16)}),
        lambda: board.audit(1),
        lambda: board.push(DEFLATED),
    ]
    return answers + [_outcome(call) for call in calls]


def _outcome(call: Callable[[], object]) -> object:
    try:
        return call()
    except BridgeError as error:
        return error


class Tapped:
    """One end of a link; what is written to it is kept, in the order of both ends."""

    reliable = True

    def __init__(self, link, sender: str, steps: list[list[str]], guard: threading.Lock) -> None:
        self._link, self._sender, self._steps, self._guard = link, sender, steps, guard
        self.name, self.read, self.close = link.name, link.read, link.close

    def write(self, data: bytes) -> None:
        with self._guard:
            if self._steps and self._steps[-1][0] == self._sender:
                self._steps[-1][1] += data.hex()
            else:
                self._steps.append([self._sender, data.hex()])
        self._link.write(data)


def record(version: int) -> None:
    """Write the dialogue of today's two ends."""
    import firmware_bridge.host.board as module

    module.secrets.randbelow = lambda _: SESSION - 2**24  # type: ignore[assignment]
    pack = Connection._pack  # recordings are stuffed throughout: who reads them needs no state
    Connection._pack = lambda end, frame: b"" if isinstance(frame, PrefixRequest) else pack(end, frame)
    steps: list[list[str]] = []
    guard, lock, other = threading.Lock(), SessionLock(lambda: 0.0), object()

    def hold(wanted: bool) -> None:
        with guard:
            steps.append(["hold" if wanted else "free", ""])
        if wanted:
            lock.take(other, HOLDER)
        else:
            lock.give_back(other)

    here, there = memory_pair()
    thread = threading.Thread(
        target=serve, args=(Tapped(there, "board", steps, guard), MemoryService()), kwargs={"lock": lock}
    )
    thread.start()
    with Board(Tapped(here, "host", steps, guard), HOST) as board:
        for answer in dialogue(board, hold):
            print(repr(answer)[:150])  # noqa: T201
    thread.join()
    PEERS.mkdir(exist_ok=True)
    (PEERS / f"version_{version}.json").write_text(json.dumps(steps, indent=0) + "\n")


if __name__ == "__main__":
    from firmware_bridge.protocol.codec import MESSAGES_VERSION

    record(MESSAGES_VERSION)
