"""How far verdicts on a board can be trusted: lying results, the interval of an energy, and comparisons by blocks."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

from benchmarks.harness import Benchmark, run
from benchmarks.hil_comparisons import measure_blocks, measure_boards, measure_end_to_end
from benchmarks.hil_suite import measure_report, measure_suite

_RAILS = 1000
_SEED = 11
_COVERAGE = (0.93, 0.97)


def measure(bench: Benchmark) -> None:
    """Measure without a real board."""
    _lying_runs(bench)
    _energy_coverage(bench)
    measure_report(bench)
    measure_blocks(bench, measure_boards(bench))
    measure_end_to_end(bench)
    measure_suite(bench)


def _lying_runs(bench: Benchmark) -> None:
    from tests.hil.lying_runs import BASELINES, FILES, RUNS, changed, make, passes

    before, after = make(1), make(2)
    with tempfile.TemporaryDirectory() as folder:
        good = passes(before, after, Path(folder))
        began_s = time.monotonic()
        passed = [kind for kind, change in RUNS.items() if passes(before, changed(after, change), Path(folder))]
        raw = json.dumps(after).encode()
        passed += [kind for kind, damage in FILES.items() if passes(before, damage(raw), Path(folder))]
        passed += [kind for kind, change in BASELINES.items() if passes(changed(before, change), after, Path(folder))]
        passed += ["the baseline itself"] if passes(before, before, Path(folder)) else []
        seconds = time.monotonic() - began_s
    kinds = len(RUNS) + len(FILES) + len(BASELINES) + 1
    bench.row("lying_runs", len(passed), "passed", at_most=0, note=", ".join(passed) or f"none of {kinds} kinds")
    bench.row("lying_runs_kinds", kinds, "kinds", at_least=40)
    bench.row("good_run", int(good), "passed", at_least=1, note="the same run with nothing changed")
    bench.row("compare_ms", 1e3 * seconds / kinds, "ms", note="reading two runs included")


def _energy_coverage(bench: Benchmark) -> None:
    from tests.hil.simulated_rails import covered

    found = covered(_RAILS, _SEED)
    low, high = _COVERAGE
    note = f"of {_RAILS} simulated rails, whose sensors have tolerance, step, correlated noise and a clock of their own"
    bench.row("energy_coverage", found, "1", at_least=low, note=note)
    bench.row("energy_coverage_excess", found - high, "1", at_most=0.0, note=f"over {high:g} an interval is too wide")


if __name__ == "__main__":
    run("hil", measure)
