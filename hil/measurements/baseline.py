"""Compare a run with an earlier one: worse, the same within a margin, better, undecided, or MISSING.

Each measurement says which way it improves, by how much it may differ, and of which samples it is a quantile; nothing
here knows a measurement's name. A quantile is compared by resampling both runs (percentile bootstrap): the whole
interval of the difference has to lie on one side of the margin. A figure whose samples are not in the results is
compared by its value against the margin. The two runs came one after the other, not interleaved: what drifted between
them (temperature, load) is in the difference, which is one more reason for a margin.

A run passes only with all the evidence that the baseline had. Whether the two may be compared at all is decided by
`hil.measurements.comparable`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from hil.errors import EvidenceError
from hil.measurements.comparable import Difference, check_comparable, check_consistent, lost_evidence
from hil.measurements.measurement import Better, Margin, Measurement, Subject
from hil.measurements.quantiles import MIN_SAMPLES
from hil.measurements.results import HilResults, SuiteVerdict

__all__ = ["Change", "Comparison", "RunComparison", "compare"]

_RESAMPLES = 2000
_SEED = 1
_FEWEST_SAMPLES = 0.9
"""A figure of fewer samples than this fraction of the baseline's is less evidence; sensors lose a few by chance."""


class Change(Enum):
    """What a figure did against the baseline."""

    BETTER = "better"
    SAME = "same"
    """Not worse than the margin allows, and not certainly better by more than it."""
    WORSE = "worse"
    INCONCLUSIVE = "inconclusive"
    """The interval of the difference crosses the margin, or there is less evidence: it may be worse."""
    MISSING = "MISSING"
    """The baseline has it, and this run has no number."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of two runs.

    Attributes:
        name: the measurement's name.
        unit: its unit.
        before: value in the baseline.
        after: value now; NaN where it is MISSING.
        low: lower end of the 95 % interval of the difference (after minus before).
        high: its upper end; equal to ``low`` where no samples stand behind the figure.
        margin: the difference that does not matter.
        change: the verdict.
        subject: what the figure says something about; one of the link does not judge a model.
        note: why it is MISSING or undecided, or ``""``.
    """

    name: str
    unit: str
    before: float
    after: float
    low: float
    high: float
    margin: float
    change: Change
    subject: Subject = Subject.MODEL
    note: str = ""


@dataclass(frozen=True, slots=True)
class RunComparison:
    """A run against its baseline.

    Attributes:
        rows: one for each figure of the baseline that improves in some direction.
        differences: in what the two runs differ, beside what they found; all of them allowed.
        lost: evidence that the baseline had and this run has not, one line each.
        own: what the run says by itself.
    """

    rows: tuple[Comparison, ...]
    differences: tuple[Difference, ...]
    lost: tuple[str, ...]
    own: SuiteVerdict

    @property
    def verdict(self) -> SuiteVerdict:
        """The run's own verdict unless it passed; then FAIL if any figure is worse, INCONCLUSIVE if any is open."""
        changes = {row.change for row in self.rows if row.subject is Subject.MODEL}
        if self.own not in (SuiteVerdict.PASS, SuiteVerdict.INCONCLUSIVE):
            return self.own
        if Change.WORSE in changes:
            return SuiteVerdict.LIMIT_FAILED
        is_open = self.lost or not changes.isdisjoint({Change.INCONCLUSIVE, Change.MISSING})
        return SuiteVerdict.INCONCLUSIVE if is_open else self.own


def compare(
    before: HilResults, after: HilResults, margin: Margin | None = None, *, allow: Collection[str] = ()
) -> RunComparison:
    """Compare every figure that the baseline has.

    Args:
        before: the baseline.
        after: the run to judge.
        margin: of the figures that have none of their own; 5 % if None.
        allow: names of the differences in what was measured that are accepted; see `hil.measurements.comparable`.

    Raises:
        EvidenceError: the baseline is no evidence, a file contradicts itself, the runs measured different things, or
            they have no figure in common.
    """
    for run, which in ((before, "the baseline"), (after, "the run")):
        check_consistent(run, which)
    differences = check_comparable(before, after, allow)
    rows = tuple(_rows(before, after, margin or Margin()))
    if all(row.change is Change.MISSING for row in rows) and after.verdict is SuiteVerdict.PASS:
        raise EvidenceError("the two runs have no figure in common; run the same checks in both")
    return RunComparison(rows, differences, lost_evidence(before, after), after.verdict)


def _rows(before: HilResults, after: HilResults, margin: Margin) -> Iterable[Comparison]:
    for old in before.measurements:
        if old.better is Better.NEITHER or not np.isfinite(old.value):
            continue
        new = after.measurement(old.name)
        allowed = (old.margin or margin).of(old.value)
        if new is None or not np.isfinite(new.value):
            yield _missing(old, new, allowed)
        else:
            yield _row(old, new, _difference(before, after, old, new), allowed)


def _missing(old: Measurement, new: Measurement | None, margin: float) -> Comparison:
    nan = float("nan")
    note = "not measured" if new is None else new.invalid or f"no number from {new.n} samples"
    return Comparison(old.name, old.unit, old.value, nan, nan, nan, margin, Change.MISSING, old.subject, note)


def _difference(before: HilResults, after: HilResults, old: Measurement, new: Measurement) -> tuple[float, float]:
    kinds = [(m.unit, m.source, m.basis, m.better, m.quantile, m.subject, m.margin) for m in (old, new)]
    if kinds[0] != kinds[1]:
        raise EvidenceError(
            f"{new.name}: unit, source, basis, direction, margin or quantile differ; measure both runs the same way"
        )
    if new.quantile is None:
        return (new.value - old.value,) * 2
    return _interval(before.series(old.series), after.series(new.series), new.quantile)


def _row(old: Measurement, new: Measurement, interval: tuple[float, float], margin: float) -> Comparison:
    low, high = interval
    worse_low, worse_high = (-high, -low) if new.better is Better.HIGHER else (low, high)
    change, note = _change(worse_low, worse_high, margin), ""
    if new.n < _FEWEST_SAMPLES * old.n and change is not Change.WORSE:
        change, note = Change.INCONCLUSIVE, f"{new.n} samples, {old.n} in the baseline"
    return Comparison(
        new.name, new.unit, old.value, new.value, low, high, margin, change, new.subject, note
    )  # fmt: skip


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
    if min(len(before), len(after)) < MIN_SAMPLES:
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
