"""Compare a run with an earlier one: worse, the same within a margin, better, undecided, or MISSING.

Two single runs do not say how much runs differ by themselves: the interval of a difference comes from earlier runs
(`hil.comparison.history`), and without them a figure that varies is undecided. What never varies (a count) is compared
by its value, and accuracy by the gate, on the frames that both runs have seen (`hil.comparison.accuracy`).

A run passes only with all the evidence that the baseline had. Whether the two may be compared at all is decided by
`hil.comparison.comparable`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from hil.comparison.changes import Change, Comparison, judge_interval, verdict_of
from hil.comparison.comparable import Difference, check_comparable, check_consistent, lost_evidence
from hil.comparison.policy import ComparisonPolicy
from hil.comparison.spread import RunSpread
from hil.errors import EvidenceError
from hil.measurements.measurement import Better, Measurement, Varies
from hil.measurements.results import HilResults, SuiteVerdict

__all__ = ["RunComparison", "compare"]

_FEWEST_SAMPLES = 0.9
"""A figure of fewer samples than this fraction of the baseline's is less evidence; sensors lose a few by chance."""
_UNKNOWN = "no earlier runs say how much it varies; interleave: ks100 hil run --against BASELINE.ksm"


@dataclass(frozen=True, slots=True)
class RunComparison:
    """A run against its baseline.

    Attributes:
        rows: one for each figure of the baseline that improves in some direction.
        differences: in what the two runs differ, beside what they found; all of them allowed.
        lost: evidence that the baseline had and this run has not, one line each.
        over: limits of the policy that the run breaks, one line each.
        own: what the run says by itself.
    """

    rows: tuple[Comparison, ...]
    differences: tuple[Difference, ...]
    lost: tuple[str, ...]
    over: tuple[str, ...]
    own: SuiteVerdict

    @property
    def verdict(self) -> SuiteVerdict:
        """The run's own verdict unless it passed; then FAIL if any figure is worse, INCONCLUSIVE if any is open."""
        if self.own not in (SuiteVerdict.PASS, SuiteVerdict.INCONCLUSIVE):
            return self.own
        found = SuiteVerdict.LIMIT_FAILED if self.over else verdict_of(self.rows)
        is_open = self.lost or self.own is SuiteVerdict.INCONCLUSIVE
        return SuiteVerdict.INCONCLUSIVE if found is SuiteVerdict.PASS and is_open else found


def compare(
    before: HilResults,
    after: HilResults,
    policy: ComparisonPolicy | None = None,
    *,
    allow: Collection[str] = (),
    spreads: Mapping[str, RunSpread] | None = None,
    accuracy: Sequence[Comparison] = (),
) -> RunComparison:
    """Compare every figure that the baseline has.

    Args:
        before: the baseline.
        after: the run to judge.
        policy: margins, limits and confidence; the default one if None.
        allow: names of the differences in what was measured that are accepted; see `hil.comparison.comparable`.
        spreads: how much figures vary from run to run, by name; see `hil.comparison.history`.
        accuracy: what the gate says; these rows take the place of the figures that vary with the frames.

    Raises:
        EvidenceError: the baseline is no evidence, a file contradicts itself, the runs measured different things, or
            they have no figure in common.
    """
    for run, which in ((before, "the baseline"), (after, "the run")):
        check_consistent(run, which)
    differences = check_comparable(before, after, allow)
    policy = policy or ComparisonPolicy()
    rows = (*_rows(before, after, policy, spreads or {}, judged=bool(accuracy)), *accuracy)
    if all(row.change is Change.MISSING for row in rows) and after.verdict is SuiteVerdict.PASS:
        raise EvidenceError("the two runs have no figure in common; run the same checks in both")
    over = tuple(filter(None, map(policy.over_limit, after.measurements)))
    return RunComparison(rows, differences, lost_evidence(before, after), over, after.verdict)


def _rows(
    before: HilResults, after: HilResults, policy: ComparisonPolicy, spreads: Mapping[str, RunSpread], *, judged: bool
) -> Iterable[Comparison]:
    assert before.package is not None
    assert after.package is not None
    same_graph = before.package.payload_sha256 == after.package.payload_sha256
    for old in before.measurements:
        if old.better is Better.NEITHER or not math.isfinite(old.value):
            continue
        if judged and old.varies is Varies.FRAMES:
            continue
        new = after.measurement(old.name)
        margin = policy.margin(old.name, old.margin).of(old.value)
        if new is None or not math.isfinite(new.value):
            yield _missing(old, new, margin)
        else:
            _check_same_kind(old, new)
            yield _row(old, new, margin, *_interval(old, new, policy, spreads.get(old.name), same_graph=same_graph))


def _missing(old: Measurement, new: Measurement | None, margin: float) -> Comparison:
    nan = math.nan
    note = "not measured" if new is None else new.invalid or f"no number from {new.n} samples"
    return Comparison(old.name, old.unit, old.value, nan, nan, nan, margin, Change.MISSING, old.subject, note)


def _check_same_kind(old: Measurement, new: Measurement) -> None:
    kinds = [(m.unit, m.source, m.basis, m.better, m.quantile, m.subject, m.margin, m.varies) for m in (old, new)]
    if kinds[0] != kinds[1]:
        raise EvidenceError(
            f"{new.name}: unit, source, basis, direction, margin, quantile or how it varies differ; "
            "measure both runs the same way"
        )


def _interval(
    old: Measurement, new: Measurement, policy: ComparisonPolicy, spread: RunSpread | None, *, same_graph: bool
) -> tuple[float, float, str]:
    """Return the interval of the difference, and what it would take where there is none."""
    difference = new.value - old.value
    if new.varies is Varies.NEVER or (new.varies is Varies.FRAMES and same_graph):
        return difference, difference, ""
    if new.varies is Varies.FRAMES:
        return math.nan, math.nan, "judged by the gate, on the captures: --captures DIR"
    if spread is None:
        return math.nan, math.nan, _UNKNOWN
    half = spread.half_width(old.value, policy.confidence)
    return difference - half, difference + half, f"runs vary by {spread.deviation:.2%}, of {spread.runs} earlier ones"


def _row(old: Measurement, new: Measurement, margin: float, low: float, high: float, note: str) -> Comparison:
    change = judge_interval(low, high, margin, new.better)
    if new.n < _FEWEST_SAMPLES * old.n and change is not Change.WORSE:
        change, note = Change.INCONCLUSIVE, f"{new.n} samples, {old.n} in the baseline"
    note = note if change is Change.INCONCLUSIVE else ""
    return Comparison(
        new.name, new.unit, old.value, new.value, low, high, margin, change, new.subject, note
    )  # fmt: skip
