"""Small transfers over cables that lose, repeat, damage, cut short, stall, pull out, and carry some rates only.

All in virtual time. Each seed is a cable, a payload and a mixture of faults. Real are the host's client, the board's
server, both sessions and what is stored; only time and cable are virtual, so that a seed repeats exactly: ``python -m
benchmarks.faulty_transfers SEED`` shows one.
"""

from __future__ import annotations

import math
import random
import sys
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from enum import Enum

from benchmarks.harness import Benchmark
from benchmarks.paced_line import KeepingService, PlainPackage
from firmware_bridge.agent.server import Server
from firmware_bridge.agent.session_rules import SessionLock
from firmware_bridge.errors import BridgeError, TransferError
from firmware_bridge.host.board import Board
from firmware_bridge.links.faults import Faults
from firmware_bridge.links.memory import memory_pair
from firmware_bridge.protocol.connection import Connection
from firmware_bridge.protocol.states import Role
from firmware_bridge.session.simulated import HungError, SimulatedCable, SimulatedSession

__all__ = ["End", "Transfer", "faulty_rows", "transfer"]

_CHUNK_BYTES = 1024
_MAX_CHUNKS = 8
_SITTINGS = 12  # how often a broken transfer is begun again on a mended cable
_LIMIT_S = 3600.0
_RATES = (11_520.0, 92_160.0, 300_000.0)
_BAUDS = ((), (115_200, 921_600), (115_200, 921_600, 3_000_000))  # without a rate to agree on, and with
_CARRIES = (math.inf, 921_600, 115_200)  # above it the cable gives garbage
_BLOCK = 250


class End(Enum):
    """How a transfer ended."""

    INSTALLED = "installed"
    FAILED = "failed"  # with an error of ours, nothing installed
    WRONG = "wrong"  # something else than the payload is installed, or nothing and it was said to be
    HUNG = "hung"


@dataclass(frozen=True, slots=True)
class Transfer:
    """One transfer: its seed, end, number of sittings, frames repeated, and what was said last."""

    seed: int
    end: End
    sittings: int
    repeated: int
    error: str = ""


def _faults(source: random.Random) -> Faults:
    """Draw a mixture in which each kind of fault is there about every second time."""
    return Faults(
        corrupt=source.choice((0, 0, 1e-4, 1e-3)),
        drop=source.choice((0, 0, 1e-4, 1e-3)),
        duplicate=source.choice((0, 0.05, 0.3)),
        truncate=source.choice((0, 0.02, 0.15)),
        lose=source.choice((0, 0.05, 0.25)),
        stall=source.choice((0, 0.02, 0.1)),
        stall_s=source.choice((0.1, 1.0, 4.0)),
        garbage=source.choice((0, 0, 0.1)),
        disconnect=source.choice((0, 0, 0.01, 0.05)),
    )


def transfer(seed: int) -> Transfer:
    """Push a small payload over a failing cable until the board has it or the host has given up."""
    source = random.Random(seed)  # noqa: S311  # repeatable, not secret
    payload = source.randbytes(source.randrange(1, _MAX_CHUNKS * _CHUNK_BYTES))
    package, service = PlainPackage(payload, _CHUNK_BYTES), KeepingService()
    faults, rate = _faults(source), source.choice(_RATES)
    bauds, carries_baud = source.choice(_BAUDS), source.choice(_CARRIES)
    board = Connection(Role.BOARD, reliable=False, bauds=bauds)
    error, repeated, begin_s = "", 0, 1000.0
    for sitting in range(1, _SITTINGS + 1):
        host = Connection(Role.HOST, reliable=False, session=source.randrange(2**24, 2**32), bauds=bauds)
        cable = SimulatedCable(
            host,
            board,
            source.randrange(2**32),
            faults,
            rate_bytes_s=rate,
            carries_baud=carries_baud,
            begin_s=begin_s,
            reports_cut=source.random() < 0.5,
        )
        try:
            said = _push(cable, package, service)
        except HungError:
            return Transfer(seed, End.HUNG, sitting, repeated)
        except TransferError as broken:
            error = str(broken)
            continue
        except BridgeError as other:
            return Transfer(seed, End.FAILED, sitting, repeated, str(other))
        finally:
            repeated += host.statistics.retransmissions
            begin_s = cable.now_s
        right = service.installed == payload and said == package.digest
        return Transfer(seed, End.INSTALLED if right else End.WRONG, sitting, repeated)
    return Transfer(seed, End.FAILED if service.installed in (None, payload) else End.WRONG, sitting, repeated, error)


def _push(cable: SimulatedCable, package: PlainPackage, service: KeepingService) -> str:
    """Push once; returns the digest that the board says it has installed."""
    host, board = cable.ends

    def clock() -> float:
        return cable.now_s

    there = SimulatedSession(cable, board)
    server = Server(there, service, SessionLock(clock), clock)

    def serve() -> None:
        while (message := there.receive(0.0)) is not None:
            server.take(message)
        server.take(None)

    link, _ = memory_pair(reliable=False)  # names the ends; the bytes go over the cable
    session = SimulatedSession(cable, host, meanwhile=serve, limit_s=_LIMIT_S)
    with Board(link, "benchmark", clock, open_session=lambda *_: session) as client:
        return client.push(package).digest


def _block(seeds: range) -> list[Transfer]:
    return [transfer(seed) for seed in seeds]


def _all(first: int, count: int, processes: int) -> Iterable[Transfer]:
    blocks = [range(at, min(at + _BLOCK, first + count)) for at in range(first, first + count, _BLOCK)]
    with ProcessPoolExecutor(processes) as pool:
        for block in pool.map(_block, blocks):
            yield from block


def faulty_rows(bench: Benchmark, count: int = 10_000, first: int = 0, processes: int = 2) -> None:
    """Run ``count`` transfers from seed ``first`` on, and add their rows."""
    done = list(_all(first, count, processes))
    ends = Counter(one.end for one in done)
    sittings = sum(one.sittings > 1 for one in done)
    note = (
        f"seeds {first} to {first + count - 1}; {ends[End.INSTALLED]} installed, {sittings} of them or of the failed "
        f"resumed on a new cable, {sum(one.repeated for one in done)} frames repeated"
    )
    bench.row("fault_transfers", len(done), "1", at_least=count, note=note)
    for name, end in (("installed_wrong", End.WRONG), ("hung", End.HUNG)):
        seeds = [one.seed for one in done if one.end is end]
        bench.row(name, len(seeds), "1", at_most=0, note=f"seeds {seeds[:20]}" if seeds else "")
    bench.row("fault_installed_share", ends[End.INSTALLED] / len(done), "1", note="the others failed with an error")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(transfer(int(argument)))
