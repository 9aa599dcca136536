"""AP50 of one evaluation by class and by condition, each with its interval.

Two-sided 95 % intervals from the same bootstrap over scenes as the gate's (`models.evaluation.interval`); computed from
an evaluation's own records, and stored nowhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation.average_precision import MatchTable, average_precision
from models.evaluation.compare import RESAMPLES, scene_weights
from models.evaluation.evaluation import Evaluation
from models.evaluation.interval import bounds

__all__ = ["CLASS_AXIS", "PartScore", "part_scores"]

CLASS_AXIS = "class"
"""The axis whose categories are the classes, beside those of the conditions."""


@dataclass(frozen=True, slots=True)
class PartScore:
    """AP50 within one class or condition category.

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
    table, everywhere = evaluation.table, np.ones(len(evaluation.frames))
    whole, *conditions = (
        _score(evaluation, (part.axis, part.category), table, evaluation.mask(part.axis, part.category), weights)
        for part in evaluation.slices
    )
    classes = (
        _score(evaluation, (CLASS_AXIS, name), table.of_class(index), everywhere, weights)
        for index, name in enumerate(evaluation.classes)
        if table.truth[index].any()
    )
    return (whole, *classes, *conditions)


def _score(
    evaluation: Evaluation,
    part: tuple[str, str],
    table: MatchTable,
    mask: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> PartScore:
    inside = mask > 0
    shown = inside & (table.truth.any(axis=0) if part[0] == CLASS_AXIS else True)
    of_frame = np.array([frame.scene for frame in evaluation.frames])
    left_out = [mask * (of_frame != scene) for scene in sorted(set(of_frame[inside].tolist()))]
    rows = np.concatenate([mask[None], weights * mask, np.reshape(left_out, (-1, len(mask)))])
    values = average_precision(table, rows)
    count = 1 + len(weights)
    low, high = bounds(float(values[0]), values[1:count], values[count:], 0.975)
    if not math.isfinite(low):
        low = high = math.nan
    objects = int(table.truth[:, inside].sum())
    return PartScore(*part, int(shown.sum()), objects, float(values[0]), max(low, 0.0), min(high, 1.0))
