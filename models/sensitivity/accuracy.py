"""AP50 of variants relative to the float network, by condition, from their detections."""

from __future__ import annotations

from models.evaluation.compare import compare
from models.evaluation.evaluation import Evaluation, FrameRecord
from models.evaluation.matching import match_frame
from models.evaluation.metrics import recalculate
from models.sensitivity.intervals import Interval
from models.sensitivity.pools import CapturePool
from models.sensitivity.race import Measured

__all__ = ["ap_drop", "evaluation_of"]

_RESAMPLES = 200


def evaluation_of(pool: CapturePool, measured: Measured, name: str) -> Evaluation:
    """Return an evaluation of detections on all frames of a pool, at IoU 0.5 only."""
    frames = []
    for index, capture in enumerate(pool.captures):
        match = match_frame(capture, measured.detections[index])
        frames.append(FrameRecord(capture.id, capture.scene, capture.conditions.items, match))
    return recalculate(Evaluation(name, pool.name, pool.digest, "", 0.0, (), tuple(frames)))


def ap_drop(parent: Evaluation, candidate: Evaluation) -> dict[str, Interval]:
    """Return the drop of AP50 from parent to candidate in points, by category (``all`` or ``axis=category``)."""
    rows = compare(parent, candidate, resamples=_RESAMPLES)
    return {
        "all" if row.axis == "all" else f"{row.axis}={row.category}": Interval(
            row.drop_points, row.lower_points, row.upper_points
        )
        for row in rows
        if row.objects
    }
