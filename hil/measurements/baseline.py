"""Compare a run with an earlier one: better, the same within a margin, worse, or the data do not decide.

Latencies are compared by their quantiles: both runs are resampled (percentile bootstrap), and the whole interval of the
difference has to lie on one side of the margin. Figures that have no samples behind them in the results are compared by
their value against the margin. The two runs came one after the other, not interleaved: what drifted between them
(temperature, load) is in the difference, which is one more reason for a margin.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from hil.errors import EvidenceError
from hil.measurements.measurement import Measurement, Verdict
from hil.measurements.quantiles import LEAST_SAMPLES
from hil.measurements.results import HilResults

__all__ = ["Change", "Comparison", "Margin", "compare", "verdict_of"]

_RESAMPLES = 2000
_SEED = 1
_QUANTILES = {"latency_p50": 0.50, "latency_p90": 0.90, "latency_p99": 0.99}


class Change(Enum):
    """What a figure did against the baseline."""

    BETTER = "better"
    SAME = "same"
    """Not worse than the margin allows, and not certainly better by more than it."""
    WORSE = "worse"
    INCONCLUSIVE = "inconclusive"
    """The interval of the difference crosses the margin: it may be worse."""


@dataclass(frozen=True, slots=True)
class Margin:
    """How much of a difference does not matter.

    Attributes:
        relative: as a share of the baseline's value.
        absolute: in the figure's unit; the larger of the two counts.
    """

    relative: float = 0.05
    absolute: float = 0.0

    def of(self, value: float) -> float:
        """Return the margin around ``value``, in its unit."""
        return max(self.absolute, self.relative * abs(value))


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of two runs.

    Attributes:
        name: the measurement's name.
        unit: its unit.
        before: value in the baseline.
        after: value now.
        low: lower end of the 95 % interval of the difference (after minus before).
        high: its upper end; equal to ``low`` where no samples stand behind the figure.
        margin: the difference that does not matter.
        change: the verdict.
    """

    name: str
    unit: str
    before: float
    after: float
    low: float
    high: float
    margin: float
    change: Change


# Figures in which more is better, and those in which less is; others are not compared.
_MORE_IS_BETTER = frozenset({"frame_rate", "hard_ap50_board", "npu_ops", "push_rate"})
_LESS_IS_BETTER_PREFIXES = ("latency_", "power_rail_", "power_total", "power_idle", "energy_")
# A push over a shared link varies far more than a loop on a board.
_MARGINS = {"push_rate": Margin(0.5), "hard_ap50_board": Margin(0.0, 1.0), "npu_ops": Margin(0.0, 0.0)}


def compare(before: HilResults, after: HilResults, margin: Margin | None = None) -> tuple[Comparison, ...]:
    """Compare every figure that both runs have.

    Args:
        before: the baseline.
        after: the run to judge.
        margin: of latency, power and energy; 5 % if None.

    Raises:
        EvidenceError: the runs are of different sources, boards or links, or have no figure in common.
    """
    _check_comparable(before, after)
    margin = margin or Margin()
    rows = tuple(_rows(before, after, margin))
    if not rows:
        raise EvidenceError("the two runs have no figure in common; run the same checks in both")
    return rows


def verdict_of(rows: Iterable[Comparison]) -> Verdict:
    """Return FAIL if any figure is worse, else INCONCLUSIVE if any is open, else PASS."""
    changes = {row.change for row in rows}
    if Change.WORSE in changes:
        return Verdict.FAIL
    return Verdict.INCONCLUSIVE if Change.INCONCLUSIVE in changes else Verdict.PASS


def _check_comparable(before: HilResults, after: HilResults) -> None:
    if before.source is None or after.source is None or before.board is None or after.board is None:
        raise EvidenceError("one of the runs never reached a board; there is nothing to compare")
    pairs = (
        ("source", before.source.value, after.source.value),
        ("kind of board", before.board.board, after.board.board),
        ("runtime", before.board.runtime.name, after.board.runtime.name),
        ("link", before.link, after.link),
    )
    for what, one, other in pairs:
        if one != other:
            raise EvidenceError(f"runs of different {what} are not compared: {one} before, {other} now")


def _rows(before: HilResults, after: HilResults, margin: Margin) -> Iterable[Comparison]:
    for new in after.measurements:
        old = before.measurement(new.name)
        if old is None or not _comparable(new.name):
            continue
        if (old.unit, old.source, old.basis) != (new.unit, new.source, new.basis):
            raise EvidenceError(f"{new.name}: unit, source or basis differ between the runs; measure both the same way")
        own = _MARGINS.get(new.name, margin).of(old.value)
        if new.name in _QUANTILES:
            low, high = _interval(before, after, _QUANTILES[new.name])
        else:
            low = high = new.value - old.value
        yield _row(old, new, low, high, own)


def _row(old: Measurement, new: Measurement, low: float, high: float, margin: float) -> Comparison:
    worse_low, worse_high = (-high, -low) if new.name in _MORE_IS_BETTER else (low, high)
    return Comparison(
        new.name, new.unit, old.value, new.value, low, high, margin, _change(worse_low, worse_high, margin)
    )


def _change(low: float, high: float, margin: float) -> Change:
    """Judge the interval of by how much a figure became worse."""
    if not (np.isfinite(low) and np.isfinite(high)):
        return Change.INCONCLUSIVE
    if low > margin:
        return Change.WORSE
    if high < -margin:
        return Change.BETTER
    if high <= margin:
        return Change.SAME
    return Change.INCONCLUSIVE


def _comparable(name: str) -> bool:
    return name in _MORE_IS_BETTER or name.startswith(_LESS_IS_BETTER_PREFIXES)


def _interval(before: HilResults, after: HilResults, share: float) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the difference of a latency quantile; NaN with too few samples."""
    series = [() if run.measured is None else run.measured.latency_ms for run in (before, after)]
    if min(len(samples) for samples in series) < LEAST_SAMPLES:
        return float("nan"), float("nan")
    random = np.random.default_rng(_SEED)
    one, other = (_resampled(np.asarray(samples, np.float64), share, random) for samples in series)
    low, high = np.quantile(other - one, (0.025, 0.975))
    return float(low), float(high)


def _resampled(samples: NDArray[np.float64], share: float, random: np.random.Generator) -> NDArray[np.float64]:
    """Return the quantile of each resample, float64 [resamples].

    The rank of a quantile among n samples drawn with replacement is a quantile of the empirical distribution at a
    uniform order statistic, so one beta variate replaces a whole resample: O(resamples), exact for the bootstrap.
    """
    n = len(samples)
    rank = int(np.ceil(n * share))
    uniform = random.beta(rank, n + 1 - rank, _RESAMPLES)
    index = np.minimum((uniform * n).astype(np.int64), n - 1)
    ordered: NDArray[np.float64] = np.sort(samples)[index]
    return ordered
