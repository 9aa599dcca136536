"""Where to clip an activation before it is quantized to INT8: histograms, and the ends that cost least.

Owns the arithmetic alone. Clipping trades a finer step inside against an error outside; the model of the error of a
value x on a grid of step s between the ends is

    s^2 / 12                    inside (uniform rounding noise, Bennett 1948); 0 for x = 0, which is on every grid
    (x - nearest end)^2         outside
"""

from __future__ import annotations

from itertools import product
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
    best, least = (low, high), np.inf
    for a, b in product(_ends(low), _ends(high)):
        step = (max(b, 0.0) - min(a, 0.0)) / _STEPS
        outside = centres - np.clip(centres, a, b)
        worst = float((weights @ (outside**2)).max() + step**2 / 12)
        if worst < least:
            best, least = (a, b), worst
    return best


def _ends(extreme: float) -> list[float]:
    """Return the ends to try on the side of ``extreme``; a side that zero bounds does not clip."""
    return [float(extreme * share) for share in _SHARES]
