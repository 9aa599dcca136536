"""Average precision from matches with a weight per frame, fast enough for a bootstrap.

COCO's AP: precision made non-increasing from the right, sampled at 101 recall levels, averaged over the classes that
have objects. Equal weights give the figure of pycocotools, which a test checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.evaluation.matching import FrameMatch

__all__ = ["MatchTable", "average_precision"]

_RECALLS = np.linspace(0, 1, 101)
_BATCH_VALUES = 2_000_000  # resamples times true positives per batch: 16 MB per array


@dataclass(frozen=True)
class MatchTable:
    """All matches of one model on one set, by class, in descending order of score.

    Attributes:
        frames: how many frames.
        by_class: for each class (frame index int64 [d], true positive float64 [d]); ignored detections left out.
        truth: float64 [classes, frames]: objects that count.
    """

    frames: int
    by_class: tuple[tuple[NDArray[np.int64], NDArray[np.float64]], ...]
    truth: NDArray[np.float64]

    @classmethod
    def of(cls, matches: Sequence[FrameMatch], classes: int) -> MatchTable:
        """Collect the matches of all frames, at least one, of so many classes."""
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

    def of_class(self, index: int) -> MatchTable:
        """Return the matches of one class alone."""
        return MatchTable(self.frames, self.by_class[index : index + 1], self.truth[index : index + 1])


def average_precision(table: MatchTable, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return AP for each weighting of the frames.

    Args:
        table: the matches.
        weights: float64 [b, frames], how often each frame counts.

    Returns:
        float64 [b] in [0, 1]: mean over the classes with objects; NaN where no class has any.
    """
    used = np.nonzero(weights.any(axis=0))[0]
    column = np.full(table.frames, -1)
    column[used] = np.arange(len(used))
    weights = np.ascontiguousarray(weights[:, used])
    total, counted = np.zeros(len(weights)), np.zeros(len(weights))
    for (frame, positive), truth in zip(table.by_class, table.truth, strict=True):
        objects = weights @ truth[used]
        inside = column[frame] >= 0
        steps = _Steps.of(column[frame[inside]], positive[inside] > 0, len(used))
        batch = max(1, _BATCH_VALUES // max(1, len(steps.hit_frame)))
        for start in range(0, len(weights), batch):
            rows = slice(start, start + batch)
            total[rows] += _class_ap(weights[rows], objects[rows], steps)
        counted += objects > 0
    return np.asarray(np.divide(total, counted, out=np.full(len(weights), np.nan), where=counted > 0))


@dataclass(frozen=True)
class _Steps:
    """One class's ranking, reduced to its true positives, the only places where precision has a maximum.

    Attributes:
        hit_frame: int64 [h]: frame of each true positive, in descending order of score.
        seen: float64 [frames, h]: detections of a frame after the true positive before, up to this one.
    """

    hit_frame: NDArray[np.int64]
    seen: NDArray[np.float64]

    @classmethod
    def of(cls, frame: NDArray[np.int64], positive: NDArray[np.bool_], frames: int) -> _Steps:
        step: NDArray[np.int64] = np.cumsum(positive) - positive  # number of preceding true positives
        hits = int(positive.sum())
        seen = np.zeros((frames, hits))
        before_last = step < hits
        np.add.at(seen, (frame[before_last], step[before_last]), 1)
        return cls(frame[positive], seen)


def _class_ap(weights: NDArray[np.float64], objects: NDArray[np.float64], steps: _Steps) -> NDArray[np.float64]:
    """AP of one class, float64 [b]; 0 where it has no object."""
    hits = np.cumsum(weights[:, steps.hit_frame], axis=1)
    seen = np.cumsum(weights @ steps.seen, axis=1)
    precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recall = np.divide(hits, objects[:, None], out=np.zeros_like(hits), where=objects[:, None] > 0)
    # Each recall level is sampled where it is first reached, so each true positive covers the levels that it adds.
    nearest = np.rint(recall * (len(_RECALLS) - 1)).astype(np.intp)
    reached = nearest + (_RECALLS[nearest] <= recall)
    levels = np.diff(reached, axis=1, prepend=0)
    return np.where(objects > 0, (levels * precision).sum(axis=1) / len(_RECALLS), 0.0)
