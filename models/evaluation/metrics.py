"""Metrics of a model on one set: COCO's figures, recall at a false-alarm rate, range and velocity, by condition.

`evaluate` computes them from detections, `recalculate` recomputes those at IoU 0.5 from an evaluation's records.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.captures import CaptureSet
from models.errors import DataError
from models.evaluation.coco import CocoFigures, coco_figures_of
from models.evaluation.evaluation import Evaluation, FrameRecord, Slice
from models.evaluation.matching import FrameMatch, match_frame
from models.heads import Detections

__all__ = ["FALSE_ALARMS_PER_FRAME", "Evaluation", "FrameRecord", "Slice", "evaluate", "recalculate"]

FALSE_ALARMS_PER_FRAME = 1.0
"""The operating point for recall and kinematics: the lowest score with at most this many false alarms per frame."""


def evaluate(
    captures: CaptureSet, detections: Sequence[Detections], model: str, *, model_digest: str = ""
) -> Evaluation:
    """Evaluate one model's detections, boxes in pixels of the frames.

    Args:
        captures: the set.
        detections: one per capture, in order.
        model: name of the model.
        model_digest: SHA-256 of the model, hex.

    Raises:
        DataError: the numbers of frames differ, the set is empty, or a detection is not a number or of no known class.
        ModelsError: faster-coco-eval is not installed.
    """
    _check(captures, detections)
    matches = [match_frame(capture, seen) for capture, seen in zip(captures.captures, detections, strict=True)]
    score = _operating_point(matches)
    frames = tuple(
        FrameRecord(c.id, c.scene, c.conditions.items, match, match.missed(score))
        for c, match in zip(captures.captures, matches, strict=True)
    )
    draft = Evaluation(model, captures.name, captures.digest, model_digest, score, (), frames, captures.classes)
    parts = _parts(draft)
    inside = [np.nonzero(draft.mask(*part))[0].tolist() for part in parts]
    figures = coco_figures_of(captures, detections, inside)
    slices = tuple(_slice(draft, *part, coco) for part, coco in zip(parts, figures, strict=True))
    return replace(draft, slices=slices)


def recalculate(evaluation: Evaluation) -> Evaluation:
    """Return the evaluation with everything that follows from its matches recomputed.

    COCO AP over IoU 0.50 to 0.95 is unchanged, since the records contain the matches at IoU 0.5.
    """
    score = _operating_point([frame.match for frame in evaluation.frames])
    frames = tuple(replace(frame, missed=frame.match.missed(score)) for frame in evaluation.frames)
    draft = replace(evaluation, score=score, frames=frames)
    kept = {(s.axis, s.category): CocoFigures(s.ap, s.ap50, s.ap_small) for s in evaluation.slices}
    nothing = CocoFigures(math.nan, math.nan, math.nan)
    return replace(draft, slices=tuple(_slice(draft, *part, kept.get(part, nothing)) for part in _parts(draft)))


def _check(captures: CaptureSet, detections: Sequence[Detections]) -> None:
    if len(captures) != len(detections) or not len(captures):
        raise DataError(f"{len(detections)} frames of detections for the {len(captures)} captures of {captures.name!r}")
    for capture, seen in zip(captures.captures, detections, strict=True):
        # A detector without kinematics has NaN for all of them.
        given = [p for p in (seen.range_m, seen.velocity_mps) if not np.isnan(p).all()]
        if not all(np.isfinite(part).all() for part in (seen.boxes, seen.scores, *given)):
            raise DataError(f"a detection in capture {capture.id} is not a number; the model's outputs are broken")
        if len(seen) and not (seen.classes.min() >= 0 and seen.classes.max() < len(captures.classes)):
            raise DataError(f"a detection in capture {capture.id} has a class outside 0 to {len(captures.classes) - 1}")


def _parts(evaluation: Evaluation) -> list[tuple[str, str]]:
    return [("all", "all"), *sorted({pair for frame in evaluation.frames for pair in frame.conditions})]


def _slice(evaluation: Evaluation, axis: str, category: str, coco: CocoFigures) -> Slice:
    mask = evaluation.mask(axis, category)
    chosen = [frame.match for frame, inside in zip(evaluation.frames, mask, strict=True) if inside]
    objects = sum(len(match.truth) for match in chosen)
    found = [match.found(evaluation.score) for match in chosen]
    ranges = _finite([m.range_error[hit] for m, hit in zip(chosen, found, strict=True)])
    velocities = _finite([m.velocity_error_mps[hit] for m, hit in zip(chosen, found, strict=True)])
    return Slice(
        axis=axis,
        category=category,
        frames=len(chosen),
        objects=objects,
        ap50=float(evaluation.figures(mask[None])[0]),
        ap=coco.ap,
        ap_small=coco.ap_small,
        recall=sum(int(hit.sum()) for hit in found) / objects if objects else math.nan,
        range_error=float(np.median(ranges)) if len(ranges) else math.nan,
        velocity_error_mps=float(np.mean(velocities)) if len(velocities) else math.nan,
    )


def _operating_point(matches: Sequence[FrameMatch]) -> float:
    """Return the lowest score with at most `FALSE_ALARMS_PER_FRAME` false alarms per frame."""
    alarms = np.sort(np.concatenate([match.scores[match.outcome == 0] for match in matches]))[::-1]
    allowed = int(FALSE_ALARMS_PER_FRAME * len(matches))
    return float(np.nextafter(alarms[allowed], np.inf)) if len(alarms) > allowed else 0.0


def _finite(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    values = np.concatenate([*parts, np.zeros(0)])
    return np.asarray(values[np.isfinite(values)])
