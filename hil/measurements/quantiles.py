"""Quantiles of latencies and how sure they are; no assumption on their distribution."""

from __future__ import annotations

from math import ceil, floor, sqrt

import numpy as np
from numpy.typing import NDArray

__all__ = ["interval", "quantile"]

_Z95 = 1.96


def quantile(samples: NDArray[np.float64], share: float) -> float:
    """Return the smallest sample that at least ``share`` of all do not exceed: a latency that really occurred."""
    return float(np.quantile(samples, share, method="inverted_cdf"))


def interval(samples: NDArray[np.float64], share: float) -> tuple[float, float]:
    """Return an about 95 % interval of the quantile, by order statistics (normal approximation of the binomial)."""
    ordered, n = np.sort(samples), len(samples)
    half = _Z95 * sqrt(n * share * (1 - share))
    low, high = floor(n * share - half), ceil(n * share + half)
    return float(ordered[max(0, low - 1)]), float(ordered[min(n - 1, high)])
