"""One-sided bounds of a figure from its bootstrap over clusters: BCa, widened where the clusters are few.

BCa (Efron, JASA 82, 1987; Davison and Hinkley 1997, section 5.3.2) corrects bias and follows the skew that a drop has
when few scenes carry most of it. Plain percentiles pass twice as many candidates as promised that fall short by just
the margin, BCa a few more than promised (docs/evaluation.md has the figures). The bootstrap of a mean over k clusters
is narrow by sqrt((k - 1) / k) and knows no t (Hesterberg, The American Statistician 69, 2015, section 5.3): both are
put right.
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
    """Return the lower and the upper one-sided bound; infinite when there is one cluster or none.

    Args:
        value: the figure on all clusters.
        resampled: float64 [b], the figure on each resample; what is not finite is left out.
        left_out: float64 [k], the figure without each cluster in turn.
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
    """Which share of the resamples lies under the bound that ``probability`` asks for (Efron 1987, equation 2.3)."""
    least = 1 / (len(resampled) + 1)
    under = float(np.mean(resampled < value) + np.mean(resampled == value) / 2)
    bias = _NORMAL.inv_cdf(min(max(under, least), 1 - least))
    pull = left_out[np.isfinite(left_out)]
    pull = pull.mean() - pull if len(pull) else np.zeros(1)
    spread = float((pull**2).sum()) ** 1.5
    acceleration = float((pull**3).sum()) / (6 * spread) if spread > 0 else 0.0
    reach = bias + _NORMAL.inv_cdf(probability)
    return min(max(_NORMAL.cdf(bias + reach / max(1 - acceleration * reach, 1e-3)), 0.0), 1.0)
