"""Compare a run with an earlier one: better, the same within a margin, worse, or the data do not decide.

Each measurement says which way it improves, by how much it may differ, and of which samples it is a quantile; nothing
here knows a measurement's name. A quantile is compared by resampling both runs (percentile bootstrap): the whole
interval of the difference has to lie on one side of the margin. A figure whose samples are not in the results is
compared by its value against the margin. The two runs came one after the other, not interleaved: what drifted between
them (temperature, load) is in the difference, which is one more reason for a margin.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from hil.errors import EvidenceError
from hil.measurements.measurement import Better, Margin, Measurement, Verdict
from hil.measurements.quantiles import LEAST_SAMPLES
from hil.measurements.results import HilResults

__all__ = ["Change", "Comparison", "compare", "verdict_of"]

_RESAMPLES = 2000
_SEED = 1


class Change(Enum):
    """What a figure did against the baseline."""

    BETTER = "better"
    SAME = "same"
    """Not worse than the margin allows, and not certainly better by more than it."""
    WORSE = "worse"
    INCONCLUSIVE = "inconclusive"
    """The interval of the difference crosses the margin: it may be worse."""


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


def compare(before: HilResults, after: HilResults, margin: Margin | None = None) -> tuple[Comparison, ...]:
    """Compare every figure that both runs have.

    Args:
        before: the baseline.
        after: the run to judge.
        margin: of the figures that have none of their own; 5 % if None.

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
        if old is None or new.better is Better.NEITHER:
            continue
        kinds = [(m.unit, m.source, m.basis, m.better, m.quantile) for m in (old, new)]
        if kinds[0] != kinds[1]:
            raise EvidenceError(
                f"{new.name}: unit, source, basis, direction or quantile differ; measure both runs the same way"
            )
        if new.quantile is None:
            low = high = new.value - old.value
        else:
            low, high = _interval(before.series(old.series), after.series(new.series), new.quantile)
        yield _row(old, new, low, high, (new.margin or margin).of(old.value))


def _row(old: Measurement, new: Measurement, low: float, high: float, margin: float) -> Comparison:
    worse_low, worse_high = (-high, -low) if new.better is Better.HIGHER else (low, high)
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


def _interval(before: Sequence[float], after: Sequence[float], share: float) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the difference of a quantile; NaN with too few samples."""
    if min(len(before), len(after)) < LEAST_SAMPLES:
        return float("nan"), float("nan")
    random = np.random.default_rng(_SEED)
    one, other = (_resampled(np.asarray(samples, np.float64), share, random) for samples in (before, after))
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
