"""A hostile cable, board and host: `python -m benchmarks.hostile --json F [--only CLASS]`.

The host's commands against a board that lies (`ks100 conformance host`); a real agent process, without a model, against
hosts without keys: its memory while sixteen sessions do what they can before the greeting, and how long they keep a
seventeenth out; what a flood of refused offers leaves of its audit log; and boots from full and read-only disks.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.harness import Benchmark, run
from firmware_bridge.agent.sockets import connect_unix
from firmware_bridge.errors import BridgeError, RejectedError
from firmware_bridge.host.board import Board
from firmware_bridge.links.link import Link
from firmware_bridge.links.socket import socket_link
from hil.conformance.forging import Bytes
from hil.conformance.host.runner import chosen_host_rules
from hil.conformance.session import RawSession
from ks100.cli.conformance_host import try_this_host

_SESSIONS = 16
_OFFERS = 4800
_BOOTS = 100
_EVICTED_S = 60.0
_START_S = 60.0


def measure(bench: Benchmark) -> None:
    """Measure everything."""
    _host(bench)
    _full_disks(bench)
    with _agent() as (process, path):
        _before_greeting(bench, process, path)
        _sitting(bench, path)
        _flood(bench, path)


def _host(bench: Benchmark) -> None:
    results = try_this_host(chosen_host_rules(bench.options.only))
    broken = [line for case in results.cases for line in case.broken]
    whole = not bench.options.only
    bench.row("host_cases", len(results.cases), "1", at_least=150 if whole else None)
    bench.row("host_classes", len(results.rules), "1", at_least=25 if whole else None)
    for name, word in (("host_crashes", "crash"), ("host_hangs", "hang"), ("escapes_shown", "escape"),
                       ("lost_records", "records"), ("host_memory_exceeded", "memory")):  # fmt: skip
        bench.row(name, sum(line.startswith(word) for line in broken), "1", at_most=0)
    bench.row("host_failures", sum(case.status.is_failure for case in results.cases), "1", at_most=0)


def _full_disks(bench: Benchmark) -> None:
    """Boots from disks of 6 MiB that are full or read-only, with an unconfirmed trial, a damaged record, leftovers."""
    from tests.agent.small_disk import Prepared, make_trouble, small_disk

    good, wrong = 0, ""
    with tempfile.TemporaryDirectory() as name:
        prepared = Prepared(Path(name))
        for seed in range(_BOOTS):
            try:
                with small_disk(Path(name) / f"disk-{seed}") as disk:
                    board = prepared.copied_to(disk)
                    make_trouble(board, random.Random(seed))  # noqa: S311 - which trouble, no secret
                    found = board.boots_as_it_must()
            except OSError as error:
                bench.row("fulldisk_boots", None, "1", note=f"{error}; run as root where mount is allowed")
                return
            good, wrong = good + (not found), found or wrong
    bench.row("fulldisk_boots", good, "1", at_least=_BOOTS, note=wrong)


@contextmanager
def _agent() -> Iterator[tuple[int, str]]:
    """An agent in a process of its own, whose runtime is never loaded; yields its process and its socket."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "agent.sock"
        agent = subprocess.Popen([sys.executable, "-m", "benchmarks.board_receive", folder, str(path)])
        try:
            deadline_s = time.monotonic() + _START_S
            while not path.exists() and time.monotonic() < deadline_s:
                time.sleep(0.05)
            yield agent.pid, str(path)
        finally:
            agent.terminate()
            agent.wait()


def _link(path: str) -> Link:
    return socket_link(connect_unix(path))


def _kib(process: int, field: str) -> int:
    status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(field))


def _before_greeting(bench: Benchmark, process: int, path: str) -> None:
    """All places at once: as many items, as long a text, as large a message as anybody can send without a greeting."""
    with Board(_link(path), "idle") as board:
        board.info()
    idle_kib = _kib(process, "VmRSS")
    Path(f"/proc/{process}/clear_refs").write_text("5")  # the peak begins anew
    hostile = (
        Bytes(b"\x99\x70\x00\x01" + b"\x80" * 0x6FFF), Bytes(b"\x81\xc2\x59\x08\x00" + b"\xff" * 2048),
        Bytes(bytes(60_000), length=16 * 2**20), Bytes(b"\x81\x59\x7f\x00" + bytes(0x7F00)),
    )  # fmt: skip
    with ExitStack() as stack:
        sessions = [stack.enter_context(RawSession(_link(path), greets=False)) for _ in range(_SESSIONS)]
        for number, session in enumerate(sessions):
            try:
                session.ask(hostile[number % len(hostile)])
            except BridgeError:
                continue
    over_mib = (_kib(process, "VmHWM") - idle_kib) / 1024
    bench.row("prehello_rss_mib", over_mib, "MiB", at_most=16, note=f"{_SESSIONS} sessions, peak over idle")
    with Board(_link(path), "afterwards") as board:
        bench.row("prehello_serves", float(bool(board.info().serial)), "1", at_least=1)


def _sitting(bench: Benchmark, path: str) -> None:
    with ExitStack() as stack:
        for _ in range(_SESSIONS):
            stack.enter_context(RawSession(_link(path), greets=False))
        begun_s = time.monotonic()
        while time.monotonic() - begun_s < _EVICTED_S:
            try:
                with Board(_link(path), "somebody with work") as board:
                    board.info()
                break
            except (BridgeError, OSError):
                time.sleep(0.25)
        bench.row("evicted_s", time.monotonic() - begun_s, "s", at_most=30, note=f"{_SESSIONS} sessions sit there")


def _flood(bench: Benchmark, path: str) -> None:
    """What was done to the board before a flood of refusals is in its log afterwards, and the flood as a number."""
    from tests.powercut.signing_kit import SigningKit

    with Board(_link(path), "flood") as board:
        board.provision(SigningKit().trust())
        head = _Head()
        begun_s = time.monotonic()
        for _ in range(_OFFERS):
            try:
                board.missing(head)
            except RejectedError:
                continue
        seconds = time.monotonic() - begun_s
        log = board.audit()
    acts = sum(entry.action == "provision" for entry in log)
    bench.row("acts_in_log", acts, "1", at_least=1, note=f"after {_OFFERS} refused offers in {seconds:.0f} s")
    bench.row("refusals_in_log", sum(entry.action == "offer" for entry in log), "1", at_most=100)


class _Head:
    """A package of which only a senseless head exists."""

    head, chunk_count = b"\x89KSM" + bytes(200), 1

    def chunk(self, _: int) -> bytes:
        raise AssertionError


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", action="append", default=[], help="a class of the host's suite; repeat it")


if __name__ == "__main__":
    run("hostile", measure, _add_options)
