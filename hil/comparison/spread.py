"""How much a figure varies from run to run, from earlier runs of one setup: what a single run cannot show."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from scipy.special import stdtrit

__all__ = ["RunSpread", "pooled_spread"]

_FEWEST_FREEDOM = 4
"""Degrees of freedom below which a variance is a guess: Student's factor is over twice its limit."""


@dataclass(frozen=True, slots=True)
class RunSpread:
    """Variation of one figure.

    Attributes:
        deviation: standard deviation of single runs, as a fraction of their mean.
        freedom: degrees of freedom behind it.
        runs: how many runs.
    """

    deviation: float
    freedom: int
    runs: int

    def half_width(self, value: float, confidence: float) -> float:
        """Return half the interval of the difference of two single runs whose figure is about ``value``."""
        factor = float(stdtrit(self.freedom, (1 + confidence) / 2))
        return factor * math.sqrt(2) * self.deviation * abs(value)


def pooled_spread(groups: Iterable[Sequence[float]]) -> RunSpread | None:
    """Return the variation within groups of like runs, pooled; None where there are too few.

    Args:
        groups: values of one figure, a group for each package (and board).
    """
    squares, freedom, runs = 0.0, 0, 0
    for values in groups:
        mean = fmean(values) if values else 0.0
        if len(values) < 2 or mean == 0.0:
            continue
        squares += sum((value / mean - 1) ** 2 for value in values)
        freedom += len(values) - 1
        runs += len(values)
    return RunSpread(math.sqrt(squares / freedom), freedom, runs) if freedom >= _FEWEST_FREEDOM else None
