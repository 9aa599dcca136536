"""What one figure did between a baseline and a candidate: better, the same within its margin, worse, or not known."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from hil.measurements.measurement import Better, Subject
from hil.measurements.results import SuiteVerdict

__all__ = ["Change", "Comparison", "judge_interval", "verdict_of"]


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
    """One figure of a baseline and a candidate.

    Attributes:
        name: the measurement's name.
        unit: its unit.
        before: value in the baseline.
        after: value now; NaN where it is MISSING.
        low: lower end of the interval of the difference (after minus before); NaN where nothing gives one.
        high: its upper end; equal to ``low`` for a figure that does not vary.
        margin: the difference that does not matter.
        change: the verdict.
        subject: what the figure says something about; one of the link does not judge a model.
        note: why it is MISSING or undecided and what it would take, or ``""``.
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


def judge_interval(low: float, high: float, margin: float, better: Better = Better.LOWER) -> Change:
    """Judge the interval of a difference, after minus before: all of it must lie on one side of the margin."""
    if better is Better.HIGHER:
        low, high = -high, -low
    if math.isnan(low) or math.isnan(high):
        return Change.INCONCLUSIVE
    if low > margin:
        return Change.WORSE
    if high < -margin:
        return Change.BETTER
    return Change.SAME if high <= margin else Change.INCONCLUSIVE


def verdict_of(rows: Iterable[Comparison]) -> SuiteVerdict:
    """Return what figures say of a model: FAIL if any is worse, INCONCLUSIVE if any is open; links do not count."""
    changes = {row.change for row in rows if row.subject is Subject.MODEL}
    if Change.WORSE in changes:
        return SuiteVerdict.LIMIT_FAILED
    is_open = not changes or not changes.isdisjoint({Change.INCONCLUSIVE, Change.MISSING})
    return SuiteVerdict.INCONCLUSIVE if is_open else SuiteVerdict.PASS
