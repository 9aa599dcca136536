"""Where to clip an activation before it is quantized to INT8: histograms, and the ends that cost least.

Owns the arithmetic alone. Clipping trades a finer step inside against an error outside; the model of the error of a
value x on a grid of step s between the ends is

    s^2 / 12                    inside (uniform rounding noise, Bennett 1948); 0 for x = 0, which is on every grid
    (x - nearest end)^2         outside
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BINS", "binned", "least_error", "percentile"]

BINS = 1024
_STEPS = 255
# Ends are tried at these shares of the extremes; below a fifth, clipping has never won.
_SHARES = np.geomspace(0.2, 1.0, 16)
_TAIL = 1e-4


def binned(values: NDArray[Any], low: float, high: float) -> NDArray[np.int64]:
    """Return int64 [BINS]: how many of ``values`` fall into each bin from ``low`` to ``high``; zeros do not count."""
    flat = values.ravel()
    flat = flat[flat != 0]
    position = ((flat - low) * ((BINS - 1e-3) / (high - low))).astype(np.int32)
    return np.bincount(np.clip(position, 0, BINS - 1), minlength=BINS)


def percentile(counts: NDArray[np.int64], low: float, high: float) -> tuple[float, float]:
    """Return the ends outside which a share of 1e-4 of the counted values lies, each."""
    total = counts.sum()
    if not total:
        return low, high
    share = np.cumsum(counts) / total
    edges = np.linspace(low, high, BINS + 1)
    first, last = int(np.searchsorted(share, _TAIL)), int(np.searchsorted(share, 1 - _TAIL))
    return float(edges[min(first, BINS - 1)]), float(edges[min(last + 1, BINS)])


def least_error(counts: NDArray[np.int64], low: float, high: float) -> tuple[float, float]:
    """Return the ends whose largest mean squared error among the rows of ``counts`` is least.

    Args:
        counts: int64 [groups, BINS]; groups without values do not matter.
        low: lower edge of the first bin.
        high: upper edge of the last bin.
    """
    totals = counts.sum(axis=1)
    weights = counts[totals > 0] / totals[totals > 0, None]
    if not len(weights):
        return low, high
    centres = (np.arange(BINS) + 0.5) * ((high - low) / BINS) + low
    lows, highs = low * _SHARES, high * _SHARES
    # What lies below the low end does not depend on the high one: float64 [groups, ends] for each side.
    below = weights @ (np.minimum(centres[:, None] - lows, 0.0) ** 2)
    above = weights @ (np.maximum(centres[:, None] - highs, 0.0) ** 2)
    step = (np.maximum(highs, 0.0)[None, :] - np.minimum(lows, 0.0)[:, None]) / _STEPS
    worst = (below[:, :, None] + above[:, None, :]).max(0) + step**2 / 12
    a, b = np.unravel_index(np.argmin(worst), worst.shape)
    return float(lows[a]), float(highs[b])
