"""Confidence of means over frames: a bootstrap over scenes, and an anytime-valid confidence sequence.

Frames of one scene are correlated, so scenes are resampled and count as one observation each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Interval", "anytime_margin", "scene_draws", "scene_interval"]

RESAMPLES = 500


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its two-sided 90 % interval: each end is a one-sided 95 % bound."""

    value: float
    lower: float
    upper: float


def scene_draws(scenes: NDArray[np.int64], resamples: int = RESAMPLES, seed: int = 0) -> NDArray[np.float64]:
    """Return the weight of each frame in each resample of whole scenes, float64 [resamples, frames]."""
    numbers, of_frame = np.unique(scenes, return_inverse=True)
    drawn = np.random.default_rng(seed).integers(0, len(numbers), (resamples, len(numbers)))
    counts = np.zeros((resamples, len(numbers)))
    np.add.at(counts, (np.arange(resamples)[:, None], drawn), 1)
    return np.asarray(counts[:, of_frame], np.float64)


def scene_interval(
    values: NDArray[np.float64], draws: NDArray[np.float64], mask: NDArray[np.bool_] | None = None
) -> Interval:
    """Return the mean of ``values`` with its percentile interval.

    Args:
        values: float64 [frames]; NaN where not measured.
        draws: of `scene_draws`.
        mask: the frames to use; all if None.
    """
    known = np.isfinite(values) if mask is None else np.isfinite(values) & mask
    if not known.any():
        return Interval(math.nan, math.nan, math.nan)
    weights = draws[:, known]
    totals = weights.sum(1)
    means = (weights @ values[known])[totals > 0] / totals[totals > 0]
    lower, upper = np.quantile(means, (0.05, 0.95))
    return Interval(float(values[known].mean()), float(lower), float(upper))


def anytime_margin(deviation: NDArray[np.float64], count: int, alpha: float, planned: int) -> NDArray[np.float64]:
    """Return half the width of a confidence sequence for means, valid at any time and for any number of checks.

    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence
    sequences", Annals of Statistics 52, 2024, equation 5, tuned to be narrowest near ``planned`` observations.

    Args:
        deviation: standard deviation of one observation, any shape.
        count: observations so far, at least two.
        alpha: probability that the sequence ever misses the mean.
        planned: observations for which it is tuned.
    """
    tuned = (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / planned
    grown = count * tuned + 1
    return deviation * math.sqrt(2 * grown / (count**2 * tuned) * math.log(math.sqrt(grown) / alpha))
