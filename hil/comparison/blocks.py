"""Judging a candidate against a baseline by blocks: in each, both ran on the same board, one after the other.

A board's figures differ from one run to the next by more than the frames of a run say, and drift. A block's difference
has the first in it and little of the second. After each block every figure has the interval of a confidence sequence,
so that one stops as soon as all figures are decided, or one is worse.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from hil.comparison.changes import Change, Comparison, judge_interval, verdict_of
from hil.comparison.intervals import blocks_needed, confidence_sequence
from hil.comparison.policy import ComparisonPolicy
from hil.measurements.measurement import Better
from hil.measurements.results import SuiteVerdict

__all__ = ["Block", "LegFigure", "is_decided", "judge_blocks"]


@dataclass(frozen=True, slots=True)
class LegFigure:
    """One figure of one leg: its value, NaN where ``invalid`` says why there is none; unit and direction."""

    value: float
    unit: str
    better: Better = Better.LOWER
    invalid: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """One run of the baseline and one of the candidate, side by side: figures by name.

    Attributes:
        before: of the baseline.
        after: of the candidate.
        candidate_first: which ran first; the order alternates, so that a steady drift cancels out.
    """

    before: Mapping[str, LegFigure]
    after: Mapping[str, LegFigure]
    candidate_first: bool = False


def judge_blocks(blocks: Sequence[Block], policy: ComparisonPolicy) -> tuple[Comparison, ...]:
    """Judge every figure that the baseline's legs have, after the blocks so far.

    Args:
        blocks: at least one.
        policy: margins and confidence.
    """
    return tuple(_row(name, blocks, policy) for name in blocks[0].before)


def is_decided(rows: Sequence[Comparison]) -> bool:
    """Return whether further blocks cannot change the verdict."""
    is_open = any(row.change is Change.INCONCLUSIVE for row in rows)
    return verdict_of(rows) is SuiteVerdict.LIMIT_FAILED or not is_open


def _row(name: str, blocks: Sequence[Block], policy: ComparisonPolicy) -> Comparison:
    kind = blocks[0].before[name]
    pairs = [(block.before.get(name), block.after.get(name)) for block in blocks]
    nan = math.nan
    for number, pair in enumerate(pairs, 1):
        for leg, which in zip(pair, ("baseline", "candidate"), strict=True):
            if leg is None or not math.isfinite(leg.value):
                why = "not measured" if leg is None else leg.invalid or "no number"
                note = f"block {number}, {which}: {why}"
                return Comparison(name, kind.unit, nan, nan, nan, nan, nan, Change.MISSING, note=note)
    before, after = ([leg.value for leg in side if leg is not None] for side in zip(*pairs, strict=True))
    differences = [b - a for a, b in zip(before, after, strict=True)]
    margin = policy.margin(name).of(fmean(before))
    low, high = confidence_sequence(differences, policy.confidence)
    change = judge_interval(low, high, margin, kind.better)
    note = _what_it_takes(differences, margin, kind.better, policy) if change is Change.INCONCLUSIVE else ""
    return Comparison(name, kind.unit, fmean(before), fmean(after), low, high, margin, change, note=note)


def _what_it_takes(differences: Sequence[float], margin: float, better: Better, policy: ComparisonPolicy) -> str:
    if len(differences) < 2:
        return "one block says nothing of how runs vary"
    worse = fmean(differences) * (-1 if better is Better.HIGHER else 1)
    needed = blocks_needed(stdev(differences), abs(margin - worse), policy.confidence, policy.power)
    if needed is None:
        return "no sensible number of blocks would decide it: it is at the margin, or varies too much"
    return f"about {max(needed, len(differences) + 1)} blocks would decide it"
