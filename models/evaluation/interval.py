"""One-sided bounds of a statistic from its cluster bootstrap: BCa, widened for few clusters.

BCa (Efron, JASA 82, 1987; Davison and Hinkley 1997, section 5.3.2) corrects the bias and the skew of a drop to
which few scenes contribute most. Plain percentiles pass twice as many candidates with a drop of exactly the margin as
promised, BCa a few more than promised (figures in docs/evaluation.md). The bootstrap of a mean over k clusters is too
narrow by sqrt((k - 1) / k) and ignores Student's t (Hesterberg, The American Statistician 69, 2015, section 5.3): both
are corrected.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

__all__ = ["bounds"]

_NORMAL = NormalDist()


def bounds(
    value: float, resampled: NDArray[np.float64], left_out: NDArray[np.float64], confidence: float
) -> tuple[float, float]:
    """Return the lower and the upper one-sided bound; infinite for fewer than two clusters.

    Args:
        value: the statistic on all clusters.
        resampled: float64 [b], the statistic on each resample; non-finite values are dropped.
        left_out: float64 [k], the statistic without each cluster in turn (jackknife).
        confidence: of each bound, e.g. 0.95.
    """
    clusters = len(left_out)
    resampled = resampled[np.isfinite(resampled)]
    if clusters < 2 or not len(resampled) or not math.isfinite(value):
        return -math.inf, math.inf
    shares = [_share(value, resampled, left_out, probability) for probability in (1 - confidence, confidence)]
    lower, upper = np.quantile(resampled, shares).tolist()
    from scipy.special import stdtrit

    quantile = float(stdtrit(clusters - 1, confidence))  # Student's t
    wider = quantile / _NORMAL.inv_cdf(confidence) * math.sqrt(clusters / (clusters - 1))
    return value + wider * (lower - value), value + wider * (upper - value)


def _share(value: float, resampled: NDArray[np.float64], left_out: NDArray[np.float64], probability: float) -> float:
    """Return the fraction of resamples below the bound of a ``probability`` (Efron 1987, equation 2.3)."""
    least = 1 / (len(resampled) + 1)
    under = float(np.mean(resampled < value) + np.mean(resampled == value) / 2)
    bias = _NORMAL.inv_cdf(min(max(under, least), 1 - least))
    pull = left_out[np.isfinite(left_out)]
    pull = pull.mean() - pull if len(pull) else np.zeros(1)
    spread = float((pull**2).sum()) ** 1.5
    acceleration = float((pull**3).sum()) / (6 * spread) if spread > 0 else 0.0
    reach = bias + _NORMAL.inv_cdf(probability)
    return min(max(_NORMAL.cdf(bias + reach / max(1 - acceleration * reach, 1e-3)), 0.0), 1.0)
