"""How well one graph found the objects of one pool, overall and by condition category, as a small plain record.

`models.evaluation` computes it; this is the part of it that a run's results and its report keep.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from models.evaluation.metrics import Evaluation

__all__ = ["AccuracyRecord", "ConditionScore", "accuracy_record"]


@dataclass(frozen=True, slots=True)
class ConditionScore:
    """AP50 (0 to 1) within one category of one condition axis, over ``frames`` frames."""

    axis: str
    category: str
    ap50: float
    frames: int


@dataclass(frozen=True, slots=True)
class AccuracyRecord:
    """Accuracy of one graph on one pool of captures.

    Attributes:
        model: what ran and where, e.g. ``FP32``, ``INT8 PTQ``, ``mixed QAT``, ``mixed QAT on the board``.
        pool: name of the pool, e.g. ``validation`` or ``hard``.
        frames: how many frames were evaluated.
        ap50: average precision at IoU 0.5, 0 to 1.
        ap: average precision over IoU 0.50 to 0.95, 0 to 1, or None if not computed.
        conditions: AP50 by condition category.
    """

    model: str
    pool: str
    frames: int
    ap50: float
    ap: float | None = None
    conditions: tuple[ConditionScore, ...] = ()


def accuracy_record(evaluation: Evaluation, *, model: str | None = None, pool: str | None = None) -> AccuracyRecord:
    """Return what a report keeps of an evaluation; categories without objects are left out.

    Args:
        evaluation: the evaluation.
        model: what to call the model; as the evaluation does if None.
        pool: what to call the pool; as the evaluation does if None.
    """
    scores = (ConditionScore(s.axis, s.category, s.ap50, s.frames) for s in evaluation.conditions)
    return AccuracyRecord(
        model=model or evaluation.model,
        pool=pool or evaluation.pool,
        frames=evaluation.whole.frames,
        ap50=evaluation.ap50,
        ap=None if math.isnan(evaluation.ap) else evaluation.ap,
        conditions=tuple(score for score in scores if not math.isnan(score.ap50)),
    )
