"""What training tells while it runs. Values only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

__all__ = ["Listener", "Stage", "TrainingEvent"]


class Stage(Enum):
    """What is being done."""

    LOADING = "loading captures"
    TRAINING = "training"
    CALIBRATING = "calibrating"
    FINE_TUNING = "fine-tuning"
    TWIN = "training the float twin"
    RECONSTRUCTING = "reconstructing"
    VALIDATING = "validating"


@dataclass(frozen=True, slots=True)
class TrainingEvent:
    """One step forward.

    Attributes:
        stage: what is being done.
        done: steps done in this stage.
        total: steps in this stage.
        epoch: epoch in work, from 1; 0 where a stage has none.
        epochs: epochs in all.
        loss: mean loss of the epoch so far, None where a stage has none.
        seconds_left: estimate for this stage, None while unknown.
        ap50: AP50 on the validation set in [0, 1], where just measured.
    """

    stage: Stage
    done: int
    total: int
    epoch: int = 0
    epochs: int = 0
    loss: float | None = None
    seconds_left: float | None = None
    ap50: float | None = None

    @property
    def share(self) -> float:
        """Share of the stage that is done, in [0, 1]."""
        return self.done / self.total if self.total else 1.0

    @property
    def text(self) -> str:
        """One short line for people."""
        parts = [self.stage.value]
        if self.epochs:
            parts.append(f"epoch {self.epoch}/{self.epochs}")
        if self.loss is not None:
            parts.append(f"loss {self.loss:.3f}")
        if self.ap50 is not None:
            parts.append(f"AP50 {self.ap50:.3f}")
        return ", ".join(parts)


Listener = Callable[[TrainingEvent], None]
"""Called as training advances; it may raise to stop it, and a later run resumes."""
