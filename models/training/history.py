"""What the epochs of a training came to. Values only."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EpochRecord"]


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
        sqnr_db: centred SQNR of the worst output against the float parent, None where not measured.
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
    sqnr_db: float | None = None
