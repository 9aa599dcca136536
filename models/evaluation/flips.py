"""Objects that one model finds and another misses: both directions of change, which an average hides.

Each model is evaluated at its own operating point, so both raise similar numbers of false alarms. An object that only
the parent finds is lost, one that only the candidate finds is gained; their sum is the discordance on which the power
of a paired comparison depends (McNemar 1947).
"""

from __future__ import annotations

from dataclasses import dataclass

from models.errors import DataError
from models.evaluation.evaluation import Evaluation

__all__ = ["FrameFlips", "check_paired", "flips"]


@dataclass(frozen=True, slots=True)
class FrameFlips:
    """The objects of one frame on which two models differ, by index.

    Attributes:
        lost: found only by the parent.
        gained: found only by the candidate.
    """

    lost: tuple[int, ...]
    gained: tuple[int, ...]


def flips(parent: Evaluation, candidate: Evaluation) -> tuple[FrameFlips, ...]:
    """Return the flips of each frame.

    Raises:
        DataError: they were not evaluated on the same captures.
    """
    check_paired(parent, candidate)
    found = []
    for before, after in zip(parent.frames, candidate.frames, strict=True):
        lost = tuple(index for index in after.missed if index not in before.missed)
        found.append(FrameFlips(lost, tuple(index for index in before.missed if index not in after.missed)))
    return tuple(found)


def check_paired(parent: Evaluation, candidate: Evaluation) -> None:
    """Check that two evaluations are of the same captures, in the same order.

    Raises:
        DataError: they are not.
    """
    if parent.data_digest != candidate.data_digest or [f.id for f in parent.frames] != [f.id for f in candidate.frames]:
        raise DataError(
            f"{parent.model} on {parent.pool} and {candidate.model} on {candidate.pool}: not the same captures; "
            "evaluate both on one set"
        )
    if (parent.metric, parent.classes) != (candidate.metric, candidate.classes):
        raise DataError(
            f"{parent.model} and {candidate.model} are judged by another metric or other classes; "
            "evaluate both with one card"
        )
