"""Fuzzing what reads bytes from anywhere: `make fuzz MINUTES=n`, or `python -m tests.fuzz.run --minutes n`.

Each target runs in a process of its own (libFuzzer ends its process), for its share of the time, from the kept corpus
and the published vectors. What crashed is kept as crash-*; the executions are printed as JSON.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parent.parent.parent
_INPUT_LIMIT_BYTES = 4096
_EXECUTIONS = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
_LATE_S = 120


def main() -> int:
    """Fuzz every target; return 1 if one crashed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--corpus", type=Path, default=ROOT / "runs" / "fuzz")
    options = parser.parse_args()
    seconds = max(1, int(60 * options.minutes / len(TARGETS)))
    results = [_fuzz(name, seconds, options.corpus / name) for name in TARGETS]
    sys.stdout.write(json.dumps({"minutes": options.minutes, "targets": results}) + "\n")
    return int(any(result["crashed"] for result in results))


def _fuzz(name: str, seconds: int, corpus: Path) -> dict[str, object]:
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(TARGETS[name].seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    flags = [f"-max_total_time={seconds}", "-print_final_stats=1", f"-max_len={_INPUT_LIMIT_BYTES}", "-timeout=10"]
    command = [sys.executable, "-m", "tests.fuzz.targets", name, *flags, f"-artifact_prefix={corpus.parent}/", corpus]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds + _LATE_S, check=False)
    found = _EXECUTIONS.search(run.stdout + run.stderr)
    if run.returncode:
        sys.stderr.write(run.stdout[-2000:] + run.stderr[-4000:])
    return {
        "target": name,
        "executions": int(found[1]) if found else 0,
        "seconds": seconds,
        "corpus_files": len(list(corpus.iterdir())),
        "crashed": run.returncode != 0,
    }


if __name__ == "__main__":
    sys.exit(main())
