"""The bench technician's commands: bad inputs, records that are right whatever fails, how long help takes.

python -m benchmarks.bench --json F [--runs 200] [--resume FILE]
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.flash_campaign import Campaign
from benchmarks.harness import Benchmark, run
from benchmarks.replug import replugged
from firmware_bridge.host.fleet import FlashTarget, flash
from firmware_bridge.package.container import PackageFile
from hil.boards import open_board
from hil.virtual.emulated import EmulatedBoard
from tests.ks100.bad_inputs import judge, prepare, rows

_HELP_RUNS = 15
_REPLUGS = 20
_VECTORS = Path(__file__).parents[1] / "tests" / "vectors"


def measure(bench: Benchmark) -> None:
    """Try every row of the table of bad inputs, time ``ks100 --help``, and flash boards while things fail."""
    _records(bench)
    with tempfile.TemporaryDirectory(prefix="ks100-bench-") as name:
        folder = Path(name)
        os.environ["XDG_STATE_HOME"] = str(folder / "state")
        os.chdir(folder)
        verdicts = [judge(row) for row in rows(prepare(folder))]
        os.chdir("/")
    note = "tests/ks100/bad_inputs.py, each run in this process"
    bench.row("bad_inputs", len(verdicts), "1", at_least=450, note=note)
    bench.row("exit70", sum(v.code == 70 or v.trouble.startswith("exit 70") for v in verdicts), "1", at_most=0)
    bench.row("hangs", sum(v.code == "hang" for v in verdicts), "1", at_most=0)
    wrong = [v for v in verdicts if v.trouble]
    bench.row("wrong_code", len(wrong), "1", at_most=0, note="; ".join(v.row.name for v in wrong[:5]))
    times = [_help_s() for _ in range(_HELP_RUNS)]
    note = f"best of {_HELP_RUNS}; processor time {min(cpu_s for _, cpu_s in times):.2f} s"
    bench.row("help_s", min(wall_s for wall_s, _ in times), "s", at_most=0.3, note=note)
    bench.row(
        "double_counted", _double_counted(), "1", at_most=0, note="one emulated board, over SSH and its serial line"
    )


def _records(bench: Benchmark) -> None:
    """Add the rows of runs in which boards, disks, lines and the host fail."""
    campaign = Campaign(bench.options.resume)
    campaign.run(bench.options.runs)
    note = f"{len(campaign.done)} runs of 12 boards, each with a retry; " + "; ".join(campaign.lost[:5])
    bench.row("flash12_lost_records", len(campaign.lost), "1", at_most=0, note=note.rstrip("; "))
    faults = [fault for seed in range(_REPLUGS) if (fault := replugged(seed))]
    note = "a terminal whose name goes and comes back in the middle of a push; " + "; ".join(faults[:3])
    bench.row("replug_resumed", _REPLUGS - len(faults), "1", at_least=_REPLUGS, note=note.rstrip("; "))


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs", type=int, default=200, metavar="N", help="runs of the campaign, default 200")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="note each run there, and skip those noted already")


def _help_s() -> tuple[float, float]:
    """Return how long ``ks100 --help`` takes, on the clock and on the processor."""
    command = [str(Path(sys.executable).with_name("ks100")), "--help"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began_s = time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    wall_s = time.monotonic() - began_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall_s, after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def _double_counted() -> int:
    """Flash one board by both of its links at once; return how many boards too many were counted."""
    package, store = PackageFile.open(_VECTORS / "accepted-es256.ksm"), (_VECTORS / "trust.store").read_bytes()
    with tempfile.TemporaryDirectory() as folder, EmulatedBoard.start(Path(folder)) as board:
        urls = (board.ssh_url, board.serial_url)
        with open_board(board.ssh_url) as opened:
            opened.provision(store)
        results = flash([FlashTarget(url, partial(open_board, url)) for url in urls], package)
    failed = [str(result.error) for result in results if result.error is not None]
    if failed:
        raise RuntimeError(failed[0])
    return sum(result.counts for result in results) - 1


if __name__ == "__main__":
    run("bench", measure, _options)
