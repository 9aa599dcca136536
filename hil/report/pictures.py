"""Pictures for the report: a capture's two bands as PNG or JPEG, with what each model found in it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hil.report.model import DetectionBox, DetectionPicture, Panel
from models.captures import CaptureSet
from models.heads import Detections
from models.preprocess import agc

__all__ = ["detection_picture", "disagreement", "image_file", "most_different"]

_SAME_OBJECT = 0.5
_PNG_BYTES = 150_000
SHOWN_SCORE = 0.3
"""Objects under this score are left out: they count for AP, and would bury the picture."""


def detection_picture(
    captures: CaptureSet,
    index: int,
    found: Mapping[str, Detections],
    *,
    least_score: float = SHOWN_SCORE,
) -> DetectionPicture:
    """Return one capture with the objects of each model.

    Args:
        captures: the set.
        index: the capture's position.
        found: detections by model, boxes in pixels of the frame, as `models.evaluation.predict` gives them.
        least_score: lowest score shown.
    """
    capture, frames = captures.captures[index], captures.frames
    eo, counts = frames.eo(index), frames.lwir(index)
    truth = tuple(
        DetectionBox(item.box, captures.classes[item.object_class]) for item in capture.objects if not item.ignore
    )
    return DetectionPicture(
        capture=capture.id,
        conditions=", ".join(f"{axis} {category}" for axis, category in capture.conditions.items),
        width=capture.width,
        height=capture.height,
        eo_image=None if eo is None else image_file(np.asarray(eo)),
        lwir_image=None if counts is None else image_file(agc(np.asarray(counts))),
        truth=truth,
        panels=tuple(Panel(name, _boxes(item, captures.classes, least_score)) for name, item in found.items()),
    )


def disagreement(one: Detections, other: Detections, *, least_score: float = SHOWN_SCORE) -> float:
    """Return by how much two models differ in one frame.

    Objects of a class are paired by overlap (IoU of at least 0.5), the best pairs first; a pair counts by the
    difference of its scores, an object that only one of them found by its whole score.
    """
    scores = one.scores.tolist(), other.scores.tolist()
    overlaps = _iou(np.asarray(one.boxes, np.float64), np.asarray(other.boxes, np.float64))
    overlaps[np.asarray(one.classes)[:, None] != np.asarray(other.classes)[None, :]] = 0.0
    total, left, right = 0.0, set(range(len(scores[0]))), set(range(len(scores[1])))
    for flat in np.argsort(-overlaps, axis=None, kind="stable"):
        i, j = divmod(int(flat), overlaps.shape[1])
        if overlaps[i, j] < _SAME_OBJECT:
            break
        if i in left and j in right:
            left.remove(i)
            right.remove(j)
            total += abs(scores[0][i] - scores[1][j]) if max(scores[0][i], scores[1][j]) >= least_score else 0.0
    alone = [scores[0][i] for i in left] + [scores[1][j] for j in right]
    return float(total + sum(score for score in alone if score >= least_score))


def _iou(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the intersection over union of each box of ``one`` with each of ``other``, float64 [one, other]."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, 2:], other[None, :, 2:])
    both = np.prod(np.maximum(high - low, 0.0), axis=2)
    areas = [np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (one, other)]
    return np.asarray(both / np.maximum(areas[0][:, None] + areas[1][None, :] - both, 1e-9), np.float64)


def most_different(captures: CaptureSet, found: Mapping[int, tuple[Detections, Detections]], count: int) -> list[int]:
    """Return up to ``count`` positions of ``found``, those first in which the two models differ most.

    Frames without a difference come last, those with most objects first.
    """

    def rank(index: int) -> tuple[float, int, int]:
        objects = sum(not item.ignore for item in captures.captures[index].objects)
        return -round(disagreement(*found[index]), 6), -objects, index

    return sorted(found, key=rank)[:count]


def _boxes(detections: Detections, classes: Sequence[str], least_score: float) -> tuple[DetectionBox, ...]:
    rows = zip(detections.boxes.tolist(), detections.classes.tolist(), detections.scores.tolist(), strict=True)
    return tuple(
        DetectionBox((box[0], box[1], box[2], box[3]), classes[label], score)
        for box, label, score in rows
        if score >= least_score
    )


def image_file(frame: NDArray[Any]) -> bytes:
    """Return a frame as PNG; as JPEG where that is far smaller, so that a report of large frames can still be sent."""
    from PIL import Image

    png, jpeg = io.BytesIO(), io.BytesIO()
    Image.fromarray(frame).save(png, "PNG")
    if len(png.getvalue()) <= _PNG_BYTES:
        return png.getvalue()
    Image.fromarray(frame).save(jpeg, "JPEG", quality=88)
    return jpeg.getvalue()
