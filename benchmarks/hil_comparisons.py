"""How often comparisons by blocks cry wolf, and how often they sleep; what looking after each block costs and saves.

Three kinds of row. Boards: the emulated board's own noise, clock, power model and paced loop, and the real comparison,
without interpreter, links and process (`tests.hil.simulated_boards`). Blocks: differences drawn from a normal
distribution, with the real intervals. End to end: whole emulated boards over SSH.
"""

from __future__ import annotations

import math
import tempfile
import time
from pathlib import Path
from statistics import fmean, pstdev

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Benchmark
from hil.comparison.changes import Change, Comparison, verdict_of
from hil.comparison.intervals import sequence_width, student_width
from hil.comparison.policy import ComparisonPolicy
from hil.measurements.measurement import Margin
from hil.measurements.results import SuiteVerdict

__all__ = ["measure_blocks", "measure_boards", "measure_end_to_end"]

_MOST = 16
_SAME, _RISE = 400, 200
_LOAD = (8.0, 40.0)
_BY = 1.03
_CONFIDENCE = 0.95
_SIMULATIONS = 10_000
_LOOKS = 100
_SOFTWARE_MS = 10.0
_DESIGN = 0.02
"""The rise that a fixed number of blocks is planned for: over the margin of 1.5 %, and under the 3 % to be found."""


def measure_boards(bench: Benchmark) -> float:
    """Compare simulated boards; return the standard deviation of a block's relative difference in latency."""
    began_s = time.monotonic()
    same, used, deviation = _compared(range(_SAME), _LOAD)
    wolves = sum(verdict_of(rows) is SuiteVerdict.LIMIT_FAILED for rows in same)
    opened = sum(verdict_of(rows) is SuiteVerdict.INCONCLUSIVE for rows in same)
    note = f"a package against itself on {_SAME} simulated boards, at most {_MOST} blocks, {fmean(used):.1f} on average"
    bench.row("false_alarm_rate", wolves / _SAME, "1", at_most=0.02, note=note)
    bench.row("undecided_rate", opened / _SAME, "1", note="of the same comparisons")
    for name, load, figures in (
        ("found_latency_3pct", (_LOAD[0] * _BY, _LOAD[1]), ("latency_p50", "latency_p90")),
        ("found_energy_3pct", (_LOAD[0], _LOAD[1] * _BY), ("energy_per_frame",)),
    ):
        found, used, _ = _compared(range(_SAME, _SAME + _RISE), load)
        hits = sum(any(row.name in figures and row.change is Change.WORSE for row in rows) for rows in found)
        note = f"a rise of 3 % on {_RISE} simulated boards, {fmean(used):.1f} blocks on average"
        bench.row(name, hits / _RISE, "1", at_least=0.95, note=note)
    bench.row("boards_s", time.monotonic() - began_s, "s", note="for all comparisons on simulated boards")
    return deviation


def _compared(seeds: range, after: tuple[float, float]) -> tuple[list[tuple[Comparison, ...]], list[int], float]:
    from tests.hil.simulated_boards import compared

    found, used, differences = [], [], list[float]()
    for seed in seeds:
        rows, blocks = compared(seed, _LOAD, after, _MOST)
        found.append(rows)
        used.append(len(blocks))
        differences += [b.after["latency_p50"].value / b.before["latency_p50"].value - 1 for b in blocks]
    return found, used, pstdev(differences)


def measure_blocks(bench: Benchmark, deviation: float) -> None:
    """Draw blocks whose difference has this standard deviation, as a fraction of the figure."""
    random = np.random.default_rng(5)
    drawn = random.normal(size=(_SIMULATIONS, _LOOKS))
    for name, width, limit in (
        ("peeked_false_alarms", sequence_width, 0.05),
        ("peeked_student_false_alarms", student_width, None),
    ):
        low, high = _intervals(drawn, width)
        note = f"{_SIMULATIONS} A/A comparisons, looked at after each of {_LOOKS} blocks; an interval without the truth"
        bench.row(name, float(((low > 0) | (high < 0)).any(axis=1).mean()), "1", at_most=limit, note=note)
    margin = ComparisonPolicy().margin("latency_p50").relative / deviation
    fixed, power = _planned(_DESIGN / deviation, margin)
    most = _most_for(power, _DESIGN / deviation, margin, random)
    means = {rise: _used(rise / deviation, margin, most, random) for rise in (0.0, _DESIGN, _BY - 1)}
    saved = 1 - fmean((means[0.0], means[_BY - 1])) / fixed
    plan = (
        f"{fixed} blocks find a rise of {_DESIGN:.0%} over a margin of {margin * deviation:.1%} with power {power:.2f}"
    )
    note = f"{plan}; in turns with looks, at most {most} do, and take {means[0.0]:.1f} where nothing changed, "
    note += f"{means[_BY - 1]:.1f} at 3 %; blocks vary by {deviation:.2%}"
    bench.row("sequential_frames_saved", saved, "1", at_least=0.4, peer="fixed number of blocks", note=note)
    bench.row("sequential_frames_saved_at_2pct", 1 - means[_DESIGN] / fixed, "1", note="where the rise is 2 % itself")
    exact, _ = _planned((_BY - 1) / deviation, margin)
    note = f"against {exact} blocks, planned for 3 % by someone who knows how much blocks vary; less than 0: looks cost"
    bench.row("sequential_frames_saved_at_3pct", 1 - means[_BY - 1] / exact, "1", note=note)


def _intervals(drawn: NDArray[np.float64], width: object) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both ends of the interval after 2, 3, ... blocks, float64 [simulations, looks - 1]."""
    blocks = np.arange(1, drawn.shape[1] + 1)
    mean = drawn.cumsum(axis=1) / blocks
    squares = np.maximum((drawn**2).cumsum(axis=1) - blocks * mean**2, 0.0)[:, 1:]
    half = np.array([width(int(n), _CONFIDENCE) for n in blocks[1:]])  # type: ignore[operator]
    with np.errstate(invalid="ignore"):
        half = np.where(np.isinf(half), np.inf, half * np.sqrt(squares / (blocks[1:] - 1)))
    return mean[:, 1:] - half, mean[:, 1:] + half


def _planned(rise: float, margin: float) -> tuple[int, float]:
    """Return the smallest fixed number of blocks whose Student interval finds ``rise`` with power 0.95, and its power.

    Both in standard deviations of a block; the power is that of the noncentral t distribution.
    """
    from scipy.stats import nct

    for n in range(3, 2000):
        critical = student_width(n, _CONFIDENCE) * math.sqrt(n)
        power = float(nct.sf(critical, n - 1, (rise - margin) * math.sqrt(n)))
        if power >= 0.95:
            return n, power
    raise ValueError("no number of blocks is enough")


def _most_for(power: float, rise: float, margin: float, random: np.random.Generator) -> int:
    """Return the most blocks with which the sequence finds ``rise`` with at least ``power``."""
    drawn = random.normal(rise, 1.0, (2000, 400))
    low, _ = _intervals(drawn, sequence_width)
    found = (low > margin).cumsum(axis=1) > 0
    return int(np.argmax(found.mean(axis=0) >= power)) + 2


def _used(rise: float, margin: float, most: int, random: np.random.Generator) -> float:
    low, high = _intervals(random.normal(rise, 1.0, (2000, most)), sequence_width)
    decided = (low > margin) | (high < margin)
    return float(np.where(decided.any(axis=1), decided.argmax(axis=1) + 2, most).mean())


def measure_end_to_end(bench: Benchmark, runs: int = 3) -> None:
    """Compare a package with itself on whole emulated boards, each a new one."""
    from firmware_bridge.package.container import PackageFile
    from hil.against import BlockPlan, one_board, run_blocks
    from tests.hil.hil_bench import make_bench

    verdicts, blocks, began_s = [], 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        files = make_bench(Path(folder), captures=4)
        package, trust = PackageFile.open(files.package), files.trust.read_bytes()
        policy = ComparisonPolicy(margins={"latency_*": Margin(0.0, _SOFTWARE_MS)})
        plan = BlockPlan(package, package, trust, None, None, None, policy, _MOST)
        for number in range(runs):
            with one_board("emu:") as url:
                found = run_blocks(url, plan, Path(folder) / str(number), lambda *_: None)
            verdicts.append(found.verdict)
            blocks += len(found.blocks)
    wolves = sum(verdict is SuiteVerdict.LIMIT_FAILED for verdict in verdicts)
    note = f"{runs} A/A comparisons over SSH: {', '.join(v.value for v in verdicts)}; {blocks} blocks; "
    note += f"latency to {_SOFTWARE_MS:g} ms, since an emulated board's software path is that of the host"
    bench.row("end_to_end_false_alarms", wolves, "runs", at_most=0, note=note)
    bench.row("block_s", (time.monotonic() - began_s) / blocks, "s", note="a board's start included")
