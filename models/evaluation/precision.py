"""Average precision from matches, with a weight for each frame: what a bootstrap asks for a thousand times.

AP is COCO's: precision made non-increasing from the right, read at 101 recall levels, averaged over the classes that
have objects. Equal weights give pycocotools' figure (a test holds them together).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.captures import ObjectClass
from models.evaluation.matching import FrameMatch

__all__ = ["MatchTable", "average_precision"]

_RECALLS = np.linspace(0, 1, 101)
_ROWS = 64  # resamples at a time: bounds the memory of one class to some megabytes


@dataclass(frozen=True)
class MatchTable:
    """All matches of one model on one set, by class, sorted by falling score.

    Attributes:
        frames: how many frames.
        by_class: for each class (frame index int64 [d], true positive float64 [d]); ignored detections left out.
        truth: float64 [classes, frames]: objects that count.
    """

    frames: int
    by_class: tuple[tuple[NDArray[np.int64], NDArray[np.float64]], ...]
    truth: NDArray[np.float64]

    @classmethod
    def of(cls, matches: Sequence[FrameMatch]) -> MatchTable:
        """Collect the matches of all frames, at least one."""
        classes = len(ObjectClass)
        truth = np.zeros((classes, len(matches)))
        frame = np.repeat(np.arange(len(matches)), [len(m.scores) for m in matches])
        label = np.concatenate([m.classes for m in matches])
        score = np.concatenate([m.scores for m in matches])
        outcome = np.concatenate([m.outcome for m in matches])
        for index, match in enumerate(matches):
            np.add.at(truth[:, index], match.truth, 1)
        by_class = []
        for k in range(classes):
            mine = np.nonzero((label == k) & (outcome >= 0))[0]
            # Stable, so that equal scores stay in frame order, as in pycocotools.
            mine = mine[np.argsort(-score[mine], kind="mergesort")]
            by_class.append((frame[mine].astype(np.int64), (outcome[mine] == 1).astype(np.float64)))
        return cls(len(matches), tuple(by_class), truth)


def average_precision(table: MatchTable, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return AP for each weighting of the frames.

    Args:
        table: the matches.
        weights: float64 [b, frames], how often each frame counts.

    Returns:
        float64 [b] in [0, 1]: mean over the classes with objects; NaN where no class has any.
    """
    scores = np.full((len(table.by_class), len(weights)), np.nan)
    for label, (frame, positive) in enumerate(table.by_class):
        objects = weights @ table.truth[label]
        for start in range(0, len(weights), _ROWS):
            rows = slice(start, start + _ROWS)
            scores[label, rows] = _class_ap(weights[rows], objects[rows], frame, positive)
    counted = ~np.isnan(scores)
    total = np.where(counted, scores, 0).sum(axis=0)
    return np.asarray(np.divide(total, counted.sum(axis=0), out=np.full(len(weights), np.nan), where=counted.any(0)))


def _class_ap(
    weights: NDArray[np.float64],
    objects: NDArray[np.float64],
    frame: NDArray[np.int64],
    positive: NDArray[np.float64],
) -> NDArray[np.float64]:
    weight = weights[:, frame]
    hits = np.cumsum(weight * positive, axis=1)
    seen = np.cumsum(weight, axis=1)
    precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    found = np.full(len(weights), np.nan)
    for row in np.nonzero(objects > 0)[0]:
        at = np.searchsorted(hits[row] / objects[row], _RECALLS, side="left")
        reached = at < hits.shape[1]
        found[row] = precision[row, at[reached]].sum() / len(_RECALLS)
    return found
