"""Is one model worse than another, and how sure is that: a paired bootstrap over scenes.

Both models are judged on the same resampled scenes, so what makes a scene hard cancels out; frames of one scene are
alike and are drawn together (cluster bootstrap, Davison and Hinkley 1997, section 3.8). Bounds are percentiles,
widened for few scenes by t / z sqrt(k / (k - 1)), or they would be too narrow (Hesterberg, The American Statistician
69, 2015, section 5.3).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import DataError
from models.evaluation.metrics import Evaluation
from models.evaluation.precision import average_precision

__all__ = ["Difference", "compare", "scene_weights"]

RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Difference:
    """How much AP50 falls from the parent to the candidate in one category, in points (hundredths).

    Attributes:
        axis: condition axis, ``all`` for the whole set.
        category: category on it.
        frames: frames in it.
        scenes: scenes in it.
        objects: objects that count in it.
        parent_ap50: of the parent, 0 to 1.
        candidate_ap50: of the candidate, 0 to 1.
        drop_points: parent minus candidate, in points.
        lower_points: one-sided 95 % lower bound of the drop.
        upper_points: one-sided 95 % upper bound of the drop.
    """

    axis: str
    category: str
    frames: int
    scenes: int
    objects: int
    parent_ap50: float
    candidate_ap50: float
    drop_points: float
    lower_points: float
    upper_points: float


def compare(
    parent: Evaluation,
    candidate: Evaluation,
    *,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[Difference, ...]:
    """Compare two models on the same set: overall, then by condition category.

    Args:
        parent: the model to fall short of.
        candidate: the model in question.
        resamples: bootstrap resamples.
        confidence: of each one-sided bound.
        seed: of the resampling; the same seed gives the same bounds.

    Raises:
        DataError: they were not evaluated on the same captures.
    """
    if parent.data_digest != candidate.data_digest or [f.id for f in parent.frames] != [f.id for f in candidate.frames]:
        raise DataError(
            f"{parent.model} on {parent.pool} and {candidate.model} on {candidate.pool}: not the same captures"
        )
    weights = scene_weights(parent, resamples, seed)
    return tuple(
        _difference(parent, candidate, part.axis, part.category, weights, confidence) for part in parent.slices
    )


def scene_weights(evaluation: Evaluation, resamples: int, seed: int) -> NDArray[np.float64]:
    """Return how often each frame counts in each resample, float64 [resamples, frames]."""
    scenes = sorted({frame.scene for frame in evaluation.frames})
    position = {scene: i for i, scene in enumerate(scenes)}
    of_frame = np.array([position[frame.scene] for frame in evaluation.frames])
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(scenes), np.full(len(scenes), 1 / len(scenes)), size=resamples)
    return np.asarray(drawn[:, of_frame], np.float64)


def _difference(
    parent: Evaluation,
    candidate: Evaluation,
    axis: str,
    category: str,
    weights: NDArray[np.float64],
    confidence: float,
) -> Difference:
    mask = parent.mask(axis, category)
    inside = np.nonzero(mask)[0]
    a, b = _points(parent, mask[None])[0], _points(candidate, mask[None])[0]
    drops = _points(parent, weights * mask) - _points(candidate, weights * mask)
    drops = drops[np.isfinite(drops)]
    scenes = len({parent.frames[i].scene for i in inside})
    lower, upper = np.quantile(drops, [1 - confidence, confidence]) if len(drops) else (np.nan, np.nan)
    wider = _small_sample_factor(scenes, confidence)
    return Difference(
        axis=axis,
        category=category,
        frames=len(inside),
        scenes=scenes,
        objects=int(sum(len(parent.frames[i].match.truth) for i in inside)),
        parent_ap50=a / 100,
        candidate_ap50=b / 100,
        drop_points=float(a - b),
        lower_points=float((a - b) + wider * (lower - (a - b))),
        upper_points=float((a - b) + wider * (upper - (a - b))),
    )


def _small_sample_factor(scenes: int, confidence: float) -> float:
    """How much wider the bounds of a bootstrap over so few scenes must be."""
    if scenes < 2:
        return float("inf")
    from scipy.stats import norm, t

    return float(t.ppf(confidence, scenes - 1) / norm.ppf(confidence) * np.sqrt(scenes / (scenes - 1)))


def _points(evaluation: Evaluation, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return 100 * average_precision(evaluation.table, weights)
