"""What the epochs of a training came to. Values only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["EpochRecord", "kept_epoch"]


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """What one epoch came to.

    Attributes:
        epoch: from 1.
        loss: mean of the whole loss.
        classes: its part for classes.
        boxes: its part for boxes.
        kinematics: its part for range and velocity.
        seconds: wall time.
        ap50: on the validation set after it in [0, 1], None where not measured.
        features: the loss's part for the features that a teacher taught.
        worst_drop_points: AP50 lost against the float parent in the worst condition, None where not measured.
    """

    epoch: int
    loss: float
    classes: float
    boxes: float
    kinematics: float
    seconds: float
    ap50: float | None = None
    features: float = 0.0
    worst_drop_points: float | None = None


def kept_epoch(history: Sequence[EpochRecord]) -> EpochRecord:
    """Return the epoch whose weights are kept: the best in its worst condition, the last if that was not measured."""
    judged = [record for record in history if record.worst_drop_points is not None]
    return min(judged, key=lambda record: (record.worst_drop_points, record.epoch), default=history[-1])
