"""How sure an energy is: the sensor's tolerance, its noise and step, and the clock, combined by drawing.

The tolerance is a rectangular distribution and the noise a Student one, so that no coverage factor fits both: the
interval is taken from draws of their sum, as JCGM 101:2008 (GUM supplement 1) does. Noise of neighbouring samples is
correlated; the mean's error comes from the means of batches, not from single samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["WindowMean", "energy_interval", "window_mean"]

_BATCHES = 20
_DRAWS = 5_000
_SEED = 7
_CLOCK = 100e-6
"""Tolerance of a board's crystal, a fraction."""


@dataclass(frozen=True, slots=True)
class WindowMean:
    """Mean power over a window: milliwatts, its standard error from batches, how many, and the sensor's step (mW)."""

    mw: float
    error_mw: float
    batches: int
    step_mw: float


def window_mean(time_s: NDArray[np.float64], power_mw: NDArray[np.float64], begin: float, end: float) -> WindowMean:
    """Return the mean power from ``begin`` to ``end``; NaN with fewer than two samples.

    Each sample stands for the time since the one before it, as a monitor's register does.
    """
    inside = (time_s > begin) & (time_s <= end)
    values = power_mw[inside]
    if len(values) < 2:
        return WindowMean(float("nan"), float("nan"), 0, float("nan"))
    weights = np.diff(np.concatenate([[begin], time_s[inside]]))
    mean = float(np.average(values, weights=weights))
    batches = min(_BATCHES, len(values))
    sizes = np.full(batches, len(values) // batches) + (np.arange(batches) < len(values) % batches)
    means = np.add.reduceat(values, sizes.cumsum() - sizes) / sizes
    steps = np.diff(np.unique(power_mw))
    return WindowMean(mean, float(means.std(ddof=1) / np.sqrt(batches)), batches, float(steps.min(initial=np.inf)))


def energy_interval(
    rails: Sequence[tuple[WindowMean, WindowMean, float, float]], *, gross: bool = False
) -> tuple[float, float]:
    """Return the 95 % interval of the energy of a frame, millijoules.

    Args:
        rails: of each: mean while idle, mean in the loop, seconds a frame, the sensor's tolerance (a fraction).
        gross: whether idle power counts.
    """
    random = np.random.default_rng(_SEED)
    total = np.zeros(_DRAWS)
    for idle, loop, frame_s, tolerance in rails:
        power = _drawn(loop, random) - (0.0 if gross else _drawn(idle, random))
        total += power * frame_s * (1 + tolerance * random.uniform(-1, 1, _DRAWS))
    total *= 1 + _CLOCK * random.uniform(-1, 1, _DRAWS)
    low, high = np.quantile(total, (0.025, 0.975))
    return float(low), float(high)


def _drawn(mean: WindowMean, random: np.random.Generator) -> NDArray[np.float64]:
    """Return draws of the true mean, float64 [draws]."""
    noise = mean.error_mw * random.standard_t(max(1, mean.batches - 1), _DRAWS)
    # Noise that moves the samples over several steps averages the step away; a still sensor hides half of one.
    spread = mean.error_mw * np.sqrt(max(1, mean.batches))
    step = mean.step_mw if np.isfinite(mean.step_mw) and spread == 0.0 else 0.0
    drawn: NDArray[np.float64] = mean.mw + noise + step * random.uniform(-0.5, 0.5, _DRAWS)
    return drawn
