"""Where earlier model versions failed: per frame, the objects they missed and the false alarms they raised.

Each model is read at its own operating point, so that a timid model does not outvote a bold one. One model's failure
may be its own accident; what several versions miss is a property of the frame. Knows evaluations, and no pixels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.errors import DataError
from models.evaluation.evaluation import Evaluation, FrameRecord

__all__ = ["MIN_MODELS", "FrameFailures", "failures"]

MIN_MODELS = 2
"""Mining takes the failures of at least so many versions; so many must agree on an object for it to count most."""


@dataclass(frozen=True, slots=True)
class FrameFailures:
    """How the models failed on one frame.

    Attributes:
        agreed: objects that at least `MIN_MODELS` models missed.
        by_all: of these, the objects that every model missed: hard, or wrongly annotated.
        missed: objects missed, mean over the models.
        false_alarms: false alarms over the operating point, mean over the models.
    """

    agreed: int
    by_all: int
    missed: float
    false_alarms: float

    @property
    def failed(self) -> bool:
        """Whether any model failed in any way."""
        return self.missed > 0 or self.false_alarms > 0

    @property
    def rank(self) -> tuple[int, float, float]:
        """What frames are ordered by, hardest largest: agreement first, then how much went wrong."""
        return self.agreed, self.missed, self.false_alarms


def failures(evaluations: Sequence[Evaluation]) -> tuple[FrameFailures, ...]:
    """Return the failures on each frame.

    Args:
        evaluations: of different models on the same captures.

    Raises:
        DataError: there are too few models, two are the same model or of no known digest, or their captures differ.
    """
    _check(evaluations)
    return tuple(_of_frame(records, evaluations) for records in zip(*(e.frames for e in evaluations), strict=True))


def _check(evaluations: Sequence[Evaluation]) -> None:
    unknown = next((e for e in evaluations if not e.model_digest), None)
    if unknown is not None:
        raise DataError(f"the evaluation of {unknown.model} does not say which model it was; evaluate again")
    distinct = len({e.model_digest for e in evaluations})
    if distinct < MIN_MODELS or distinct < len(evaluations):
        raise DataError(
            f"hard cases are mined with at least {MIN_MODELS} different earlier versions; there are {distinct} among "
            f"{len(evaluations)} given"
        )
    first = evaluations[0]
    for other in evaluations[1:]:
        if other.data_digest != first.data_digest or [f.id for f in other.frames] != [f.id for f in first.frames]:
            raise DataError(f"{other.model} and {first.model} were not evaluated on the same captures; evaluate again")


def _of_frame(records: Sequence[FrameRecord], evaluations: Sequence[Evaluation]) -> FrameFailures:
    times = Counter(index for record in records for index in record.missed)
    alarms = [
        int(np.count_nonzero((record.match.outcome == 0) & (record.match.scores >= evaluation.score)))
        for record, evaluation in zip(records, evaluations, strict=True)
    ]
    return FrameFailures(
        agreed=sum(count >= MIN_MODELS for count in times.values()),
        by_all=sum(count == len(records) for count in times.values()),
        missed=times.total() / len(records),
        false_alarms=sum(alarms) / len(records),
    )
