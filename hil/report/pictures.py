"""Pictures for the report: a capture's two bands as PNG, with what each model found in it."""

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

__all__ = ["detection_picture", "varied"]

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
        eo_png=None if eo is None else _png(np.asarray(eo)),
        lwir_png=None if counts is None else _png(agc(np.asarray(counts))),
        truth=truth,
        panels=tuple(Panel(name, _boxes(item, captures.classes, least_score)) for name, item in found.items()),
    )


def varied(captures: CaptureSet, among: Sequence[int], count: int) -> list[int]:
    """Return up to ``count`` positions of ``among`` that differ in their conditions, those with objects first."""
    chosen: list[int] = []
    seen: set[tuple[str, str]] = set()
    busy = sorted(among, key=lambda i: -min(3, sum(not item.ignore for item in captures.captures[i].objects)))
    while busy and len(chosen) < count:
        # The frame that brings most categories that are not shown yet.
        best = max(busy, key=lambda i: len(set(captures.captures[i].conditions.items) - seen))
        busy.remove(best)
        chosen.append(best)
        seen |= set(captures.captures[best].conditions.items)
    return chosen


def _boxes(detections: Detections, classes: Sequence[str], least_score: float) -> tuple[DetectionBox, ...]:
    rows = zip(detections.boxes.tolist(), detections.classes.tolist(), detections.scores.tolist(), strict=True)
    return tuple(
        DetectionBox((box[0], box[1], box[2], box[3]), classes[label], score)
        for box, label, score in rows
        if score >= least_score
    )


def _png(frame: NDArray[Any]) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, "PNG", optimize=True)
    return stream.getvalue()
