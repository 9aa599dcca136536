"""Matching detections with true objects, frame by frame, by COCO's rule at one IoU.

Within a frame and a class, detections in descending order of score take the free object with the largest overlap that
reaches the threshold. Ignored objects are taken only if no other fits; a detection on one counts neither way, whatever
its class, since the annotation is not certain enough to call it wrong. Overlap with an ignored object is relative to
the detection's area, and it may be taken many times (pycocotools, ``iscrowd``). In an unlabelled frame every detection
is ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.captures import Capture, TruthObject
from models.heads import Detections

__all__ = ["IOU", "FrameMatch", "match_frame"]

IOU = 0.5
_LIMIT = 100  # COCO's maxDets, per frame and class


@dataclass(frozen=True, slots=True)
class FrameMatch:
    """The detections of one frame matched with its truth.

    Attributes:
        scores: float64 [d].
        classes: int64 [d].
        outcome: int8 [d]: 1 true positive, 0 false alarm, -1 on an ignored object.
        target: int64 [d]: index of the object, -1 for none.
        range_error: float64 [d]: |range error| / range, NaN without a matched range.
        velocity_error_mps: float64 [d]: |velocity error|, NaN without one.
        truth: int64 [t]: class of each object that is not ignored.
        counted: int64 [t]: index of each object that is not ignored.
    """

    scores: NDArray[np.float64]
    classes: NDArray[np.int64]
    outcome: NDArray[np.int8]
    target: NDArray[np.int64]
    range_error: NDArray[np.float64]
    velocity_error_mps: NDArray[np.float64]
    truth: NDArray[np.int64]
    counted: NDArray[np.int64]

    def __post_init__(self) -> None:
        """Refuse columns of different lengths."""
        of_detection = (self.scores, self.classes, self.outcome, self.target, self.range_error, self.velocity_error_mps)
        if len({len(column) for column in of_detection}) > 1:
            raise ValueError("columns of one frame differ in length")

    def found(self, score: float) -> NDArray[np.bool_]:
        """Return which detections are true positives with at least ``score``, bool [d]."""
        return np.asarray((self.outcome == 1) & (self.scores >= score))

    def missed(self, score: float) -> tuple[int, ...]:
        """Return the objects without a detection of at least ``score``."""
        found = set(self.target[self.found(score)].tolist())
        return tuple(index for index in self.counted.tolist() if index not in found)


def match_frame(capture: Capture, seen: Detections, iou: float = IOU) -> FrameMatch:
    """Match one frame's detections (boxes in the frame's pixels) with its objects."""
    count = len(seen)
    outcome, target = np.zeros(count, np.int8), np.full(count, -1, np.int64)
    kept = np.ones(count, bool)
    for label in np.unique(seen.classes):
        mine = np.nonzero(seen.classes == label)[0]
        mine = mine[np.argsort(-seen.scores[mine], kind="stable")]
        kept[mine[_LIMIT:]] = False
        objects = [(i, o) for i, o in enumerate(capture.objects) if o.ignore or o.object_class == label]
        _match_class(seen.boxes, mine[:_LIMIT], objects, iou, outcome, target)
    if not capture.labelled:
        outcome[:] = -1
    range_error, velocity_error = _kinematic_errors(capture, seen, outcome, target)
    counted = np.array([i for i, item in enumerate(capture.objects) if not item.ignore], np.int64)
    return FrameMatch(
        seen.scores[kept].astype(np.float64),
        seen.classes[kept],
        outcome[kept],
        target[kept],
        range_error[kept],
        velocity_error[kept],
        np.array([int(capture.objects[i].object_class) for i in counted], np.int64),
        counted,
    )


def _match_class(
    boxes: NDArray[np.float32],
    order: NDArray[np.intp],
    objects: Sequence[tuple[int, TruthObject]],
    iou: float,
    outcome: NDArray[np.int8],
    target: NDArray[np.int64],
) -> None:
    if not objects:
        return
    # Ignored objects come last, and ties go to the later one, as in pycocotools.
    objects = sorted(objects, key=lambda item: item[1].ignore)
    ignored = np.array([item.ignore for _, item in objects])
    overlap = _overlap(boxes[order].astype(np.float64), np.array([item.box for _, item in objects]), ignored)
    free = np.ones(len(objects), bool)
    for row in np.nonzero((overlap >= iou).any(axis=1))[0]:
        detection = order[row]
        best, chosen = iou, -1
        for column in range(len(objects)):
            if not free[column] and not ignored[column]:
                continue
            if chosen >= 0 and not ignored[chosen] and ignored[column]:
                break
            if overlap[row, column] >= best:
                best, chosen = float(overlap[row, column]), column
        if chosen >= 0:
            free[chosen] = False
            target[detection] = objects[chosen][0]
            outcome[detection] = -1 if ignored[chosen] else 1


def _overlap(boxes: NDArray[np.float64], truth: NDArray[np.float64], ignored: NDArray[np.bool_]) -> NDArray[np.float64]:
    """IoU float64 [d, t]; for ignored objects the fraction of the detection inside them."""
    low = np.maximum(boxes[:, None, :2], truth[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], truth[None, :, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=2)
    own = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)[:, None]
    other = np.prod(truth[:, 2:] - truth[:, :2], axis=1)[None, :]
    whole = np.where(ignored[None, :], own, own + other - shared)
    return np.asarray(np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0))


def _kinematic_errors(
    capture: Capture, seen: Detections, outcome: NDArray[np.int8], target: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    ranges, velocities = np.full(len(seen), np.nan), np.full(len(seen), np.nan)
    for detection in np.nonzero(outcome == 1)[0]:
        item = capture.objects[target[detection]]
        if item.range_m:
            ranges[detection] = abs(float(seen.range_m[detection]) - item.range_m) / item.range_m
        if item.velocity_mps is not None:
            velocities[detection] = abs(float(seen.velocity_mps[detection]) - item.velocity_mps)
    return ranges, velocities
