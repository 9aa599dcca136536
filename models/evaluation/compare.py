"""Paired comparison of two models by a bootstrap over scenes.

Both models are evaluated on the same resampled scenes, so the difficulty of a scene cancels out; frames of one scene
are correlated and resampled together (cluster bootstrap, Davison and Hinkley 1997, section 3.8).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation.evaluation import Evaluation
from models.evaluation.flips import FrameFlips, flips
from models.evaluation.interval import bounds

__all__ = ["Difference", "compare", "scene_weights"]

RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class Difference:
    """The drop of AP50, or another metric, from parent to candidate in one category, in points (hundredths).

    SQNR is in decibels where points are named, and in hundreds of them where the range is 0 to 1.

    Attributes:
        axis: condition axis, ``all`` for the whole set.
        category: category on it.
        frames: frames in it.
        scenes: scenes in it.
        objects: objects in it that are not ignored.
        parent_ap50: of the parent, 0 to 1.
        candidate_ap50: of the candidate, 0 to 1.
        drop_points: parent minus candidate, in points.
        lower_points: one-sided 95 % lower bound of the drop.
        upper_points: one-sided 95 % upper bound of the drop.
        lost: objects that only the parent finds at its operating point.
        gained: objects that only the candidate finds at its operating point.
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
    lost: int
    gained: int

    @property
    def flip_rate(self) -> float:
        """Fraction of objects that exactly one of the models finds; NaN without objects."""
        return (self.lost + self.gained) / self.objects if self.objects else float("nan")


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
        parent: the reference model.
        candidate: the model under test.
        resamples: bootstrap resamples.
        confidence: of each one-sided bound.
        seed: of the resampling; the same seed gives the same bounds.

    Raises:
        DataError: they were not evaluated on the same captures.
    """
    changed = flips(parent, candidate)
    weights = scene_weights(parent, resamples, seed)
    return tuple(
        _difference(parent, candidate, (part.axis, part.category), changed, weights, confidence)
        for part in parent.slices
    )


def scene_weights(evaluation: Evaluation, resamples: int, seed: int) -> NDArray[np.float64]:
    """Return the weight of each frame in each resample, float64 [resamples, frames]."""
    scenes = sorted({frame.scene for frame in evaluation.frames})
    position = {scene: i for i, scene in enumerate(scenes)}
    of_frame = np.array([position[frame.scene] for frame in evaluation.frames])
    # Raw output of the bit generator, a stream that NumPy never changes (NEP 19): evidence stays reproducible.
    words = np.random.PCG64(seed).random_raw(resamples * len(scenes)) >> np.uint64(32)
    drawn = ((words * np.uint64(len(scenes))) >> np.uint64(32)).astype(np.int64).reshape(resamples, len(scenes))
    row = np.arange(resamples)[:, None] * len(scenes)
    counts = np.bincount((row + drawn).ravel(), minlength=resamples * len(scenes)).reshape(resamples, len(scenes))
    return np.asarray(counts[:, of_frame], np.float64)


def _difference(
    parent: Evaluation,
    candidate: Evaluation,
    part: tuple[str, str],
    changed: Sequence[FrameFlips],
    weights: NDArray[np.float64],
    confidence: float,
) -> Difference:
    mask = parent.mask(*part)
    inside = np.nonzero(mask)[0]
    scenes = sorted({parent.frames[i].scene for i in inside})
    of_frame = np.array([frame.scene for frame in parent.frames])
    left_out = np.array([mask * (of_frame != scene) for scene in scenes]).reshape(len(scenes), len(mask))
    rows = np.concatenate([mask[None], weights * mask, left_out])
    before, after = (100 * one.figures(rows) for one in (parent, candidate))
    drops = before - after
    lower, upper = bounds(drops[0], drops[1 : 1 + len(weights)], drops[1 + len(weights) :], confidence)
    return Difference(
        axis=part[0],
        category=part[1],
        frames=len(inside),
        scenes=len(scenes),
        objects=int(sum(len(parent.frames[i].match.truth) for i in inside)),
        parent_ap50=float(before[0]) / 100,
        candidate_ap50=float(after[0]) / 100,
        drop_points=float(drops[0]),
        lower_points=lower,
        upper_points=upper,
        lost=sum(len(changed[i].lost) for i in inside),
        gained=sum(len(changed[i].gained) for i in inside),
    )
