"""What a graph's threshold promises, as its card holds it; it is fitted in `models.evaluation.operating_point`."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["OperatingPoint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatingPoint:
    """A score threshold and what it promises.

    Attributes:
        score: detections of at least this score count.
        recall: the mean over scenes of the fraction of objects found, at least; in each condition of the pool.
        confidence: of the promise, for each condition by itself.
        data: SHA-256 of the captures that it was fitted on, hex.
    """

    score: float
    recall: float
    confidence: float
    data: str

    def __post_init__(self) -> None:
        """Refuse what promises nothing."""
        if not (0 <= self.score <= 1 and 0 < self.recall < 1 and 0 < self.confidence < 1):
            raise ValueError("score is in [0, 1], recall and confidence are above 0 and under 1")
