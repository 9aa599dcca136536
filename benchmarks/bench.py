"""The bench technician's commands: bad inputs over all of them, and how long help takes.

python -m benchmarks.bench --json F
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import Benchmark, run
from tests.ks100.bad_inputs import judge, prepare, rows

_HELP_RUNS = 7


def measure(bench: Benchmark) -> None:
    """Try every row of the table of bad inputs, and time ``ks100 --help``."""
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
    bench.row("help_s", min(_help_s() for _ in range(_HELP_RUNS)), "s", at_most=0.3, note=f"best of {_HELP_RUNS}")


def _help_s() -> float:
    command = [str(Path(sys.executable).with_name("ks100")), "--help"]
    began_s = time.monotonic()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began_s


if __name__ == "__main__":
    run("bench", measure)
