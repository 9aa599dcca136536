"""The metric of one evaluation by class and by condition, each with its interval.

Two-sided 95 % intervals from the same bootstrap over scenes as the gate's (`models.evaluation.interval`); computed from
an evaluation's own records, and stored nowhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation.compare import RESAMPLES, scene_weights
from models.evaluation.evaluation import Evaluation, Metric
from models.evaluation.interval import bounds

__all__ = ["CLASS_AXIS", "PartScore", "part_scores"]

CLASS_AXIS = "class"
"""The axis whose categories are the classes, beside those of the conditions."""


@dataclass(frozen=True, slots=True)
class PartScore:
    """The metric within one class or condition category; as `models.evaluation.evaluation.Slice` has it.

    Attributes:
        axis: ``all``, ``class``, or a condition axis.
        category: on it.
        frames: frames with the category; of a class, frames that show it.
        objects: objects that count in them.
        ap50: 0 to 1; NaN without objects.
        low: lower end of the 95 % interval, 0 to 1; NaN with fewer than two scenes.
        high: upper end.
    """

    axis: str
    category: str
    frames: int
    objects: int
    ap50: float
    low: float
    high: float


def part_scores(evaluation: Evaluation, *, resamples: int = RESAMPLES, seed: int = 0) -> tuple[PartScore, ...]:
    """Return the score on the whole set, of each class that has objects, and in each condition category."""
    weights = scene_weights(evaluation, resamples, seed)
    whole, *conditions = (_score(evaluation, (part.axis, part.category), None, weights) for part in evaluation.slices)
    classes = (
        _score(evaluation, (CLASS_AXIS, name), index, weights)
        for index, name in enumerate(evaluation.classes if evaluation.metric is not Metric.SQNR else ())
        if evaluation.table.truth[index].any()
    )
    return (whole, *classes, *conditions)


def _score(evaluation: Evaluation, part: tuple[str, str], label: int | None, weights: NDArray[np.float64]) -> PartScore:
    mask = evaluation.mask(*part) if label is None else np.ones(len(evaluation.frames))
    inside = mask > 0
    truth = evaluation.table.truth if label is None else evaluation.table.truth[label : label + 1]
    shown = inside if label is None else truth[0] > 0
    of_frame = np.array([frame.scene for frame in evaluation.frames])
    left_out = [mask * (of_frame != scene) for scene in sorted(set(of_frame[inside].tolist()))]
    rows = np.concatenate([mask[None], weights * mask, np.reshape(left_out, (-1, len(mask)))])
    values = evaluation.figures(rows, label)
    count = 1 + len(weights)
    low, high = bounds(float(values[0]), values[1:count], values[count:], 0.975)
    if math.isfinite(low):
        low, high = max(low, 0.0), min(high, 1.0 if evaluation.metric is not Metric.SQNR else math.inf)
    else:
        low = high = math.nan
    return PartScore(*part, int(shown.sum()), int(truth[:, inside].sum()), float(values[0]), low, high)
