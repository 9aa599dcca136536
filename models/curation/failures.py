"""Failures of earlier model versions: missed objects and false alarms per frame.

Each model is evaluated at its own operating point, so that confident and cautious models have equal weight. A failure
of one model may be chance; an object missed by several versions is a property of the frame. Uses evaluations, not
pixels.
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
"""Minimum number of versions for mining, and of versions that must miss an object for it to rank first."""


@dataclass(frozen=True, slots=True)
class FrameFailures:
    """The models' failures on one frame.

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
        """Whether any model missed an object or raised a false alarm."""
        return self.missed > 0 or self.false_alarms > 0

    @property
    def rank(self) -> tuple[int, float, float]:
        """Sort key, hardest frame largest: agreement first, then the number of failures."""
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
        raise DataError(f"the evaluation of {unknown.model} has no model digest; evaluate again")
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
