"""How sure a mean difference of blocks is: after a number of blocks that was fixed before, and after any number.

A block's difference has all that varies from run to run in it, so its blocks are the sample (random effects), not their
frames. Both intervals take the differences as normal, with a variance that nobody knows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from scipy.special import stdtrit

__all__ = ["blocks_needed", "confidence_sequence", "sequence_width", "student_interval", "student_width"]

_PRIOR = 5.0
"""Variance of the mixture over the standardised mean: narrowest after 4 to 10 blocks (benchmarks/hil.py)."""
_MANY = 2000


def student_interval(differences: Sequence[float], confidence: float) -> tuple[float, float]:
    """Return Student's interval of the mean: valid once, after a number of blocks that was fixed before the first."""
    return _around(differences, student_width(len(differences), confidence))


def confidence_sequence(differences: Sequence[float], confidence: float) -> tuple[float, float]:
    """Return an interval of the mean that may be looked at after each block.

    With probability ``confidence`` the intervals after 2, 3, 4, ... blocks hold the mean all at once, so one may stop
    when one likes. It inverts the t-test's mixture martingale: a normal prior on the standardised mean, the right Haar
    prior on the scale (Lai, Ann. Statist. 4, 1976; Wang and Ramdas, "Anytime-valid t-tests and confidence sequences for
    Gaussian means with unknown variance", Sequential Analysis 44, 2025).
    """
    return _around(differences, sequence_width(len(differences), confidence))


def student_width(blocks: int, confidence: float) -> float:
    """Return half the width of `student_interval`, in standard deviations of the differences."""
    return float(stdtrit(blocks - 1, (1 + confidence) / 2)) / math.sqrt(blocks) if blocks > 1 else math.inf


def sequence_width(blocks: int, confidence: float) -> float:
    """Return half the width of `confidence_sequence`, in standard deviations; infinite after the first blocks.

    After n blocks, with r = 1 + n g and t the statistic at a mean, the martingale of that mean is
    r^(-1/2) ((1 + t^2/(n-1)) / (1 + t^2/((n-1) r)))^(n/2); the interval has the means where it is under 1 / alpha.
    """
    n, r = blocks, 1 + blocks * _PRIOR
    if n < 2:
        return math.inf
    growth = (r / (1 - confidence) ** 2) ** (1 / n)
    return math.inf if growth >= r else math.sqrt((n - 1) / n * (growth - 1) / (1 - growth / r))


def blocks_needed(deviation: float, gap: float, confidence: float, power: float) -> int | None:
    """Return after how many blocks a confidence sequence clears a margin, with probability ``power``.

    Args:
        deviation: standard deviation of the blocks' differences.
        gap: from the true difference to the margin, in the same unit.
        confidence: of the sequence.
        power: chance that it is enough.

    Returns:
        The number of blocks; None where no sensible number would do.
    """
    if not (math.isfinite(deviation) and gap > 0):
        return None
    quantile = NormalDist().inv_cdf(power)
    reached = (n for n in range(3, _MANY) if deviation * (sequence_width(n, confidence) + quantile / n**0.5) < gap)
    return next(reached, None)


def _around(differences: Sequence[float], width: float) -> tuple[float, float]:
    values = np.asarray(differences, np.float64)
    if math.isinf(width) or not np.isfinite(values).all():
        return -math.inf, math.inf
    half = width * float(values.std(ddof=1))
    return float(values.mean()) - half, float(values.mean()) + half
