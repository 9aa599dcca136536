"""Error analysis: the worst frames, and the properties of the missed objects.

For reports; no verdict depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass

from models.captures import CaptureSet, TruthObject
from models.errors import DataError
from models.evaluation.evaluation import Evaluation
from models.evaluation.flips import FrameFlips, flips

__all__ = ["MissedObject", "WorstFrame", "check_captures", "worst_frames"]


@dataclass(frozen=True, slots=True)
class MissedObject:
    """An object that the model misses at its operating point.

    Attributes:
        index: of the object in its capture.
        name: of its class.
        truth: the object.
        lost: whether the parent finds it.
    """

    index: int
    name: str
    truth: TruthObject
    lost: bool

    def __str__(self) -> str:
        x0, y0, x1, y1 = self.truth.box
        parts = [f"{self.name} {x1 - x0:.0f}x{y1 - y0:.0f} px"]
        if self.truth.range_m is not None:
            parts.append(f"{self.truth.range_m:.0f} m")
        if self.truth.occlusion >= 0.05:
            parts.append(f"{self.truth.occlusion:.0%} hidden")
        if self.truth.contrast is not None and self.truth.contrast < 0.95:
            parts.append(f"contrast {self.truth.contrast:.2f}")
        return ", ".join(parts) + (" (the parent finds it)" if self.lost else "")


@dataclass(frozen=True, slots=True)
class WorstFrame:
    """A frame on which the model fails.

    Attributes:
        position: of the capture in its set.
        id: the capture's id.
        scene: its scene.
        conditions: pairs of axis and category.
        objects: objects in it that are not ignored.
        false_alarms: at the operating point.
        missed: the missed objects.
    """

    position: int
    id: str
    scene: str
    conditions: tuple[tuple[str, str], ...]
    objects: int
    false_alarms: int
    missed: tuple[MissedObject, ...]

    @property
    def lost(self) -> int:
        """Number of missed objects that the parent finds."""
        return sum(item.lost for item in self.missed)


def worst_frames(
    captures: CaptureSet, candidate: Evaluation, parent: Evaluation | None = None, count: int = 10
) -> tuple[WorstFrame, ...]:
    """Return up to ``count`` frames with missed objects, most objects lost against the parent first, then most missed.

    Raises:
        DataError: the evaluations are not of these captures.
    """
    check_captures(captures, candidate)
    changed = flips(parent, candidate) if parent is not None else (FrameFlips((), ()),) * len(captures)
    frames = []
    for position, (capture, record, change) in enumerate(
        zip(captures.captures, candidate.frames, changed, strict=True)
    ):
        missed = tuple(
            MissedObject(i, captures.classes[capture.objects[i].object_class], capture.objects[i], i in change.lost)
            for i in record.missed
        )
        alarms = int(((record.match.outcome == 0) & (record.match.scores >= candidate.score)).sum())
        objects = len(record.match.truth)
        frames.append(WorstFrame(position, record.id, record.scene, record.conditions, objects, alarms, missed))
    failing = [frame for frame in frames if frame.missed]
    return tuple(sorted(failing, key=lambda f: (-f.lost, -len(f.missed), -f.false_alarms, f.position))[:count])


def check_captures(captures: CaptureSet, evaluation: Evaluation) -> None:
    """Check that an evaluation is of these captures.

    Raises:
        DataError: it is not.
    """
    if captures.digest != evaluation.data_digest:
        raise DataError(
            f"{evaluation.model} was evaluated on other captures ({evaluation.data_digest[:16]}) than "
            f"{captures.name!r} ({captures.digest[:16]}); give the set that it was evaluated on"
        )
