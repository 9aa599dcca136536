"""An evaluation: figures by condition, one record per frame, and its file. Computes no figure.

The records suffice to recompute every figure at IoU 0.5 and to compare two models. Round-trip law:
``plain(Evaluation.load(p)) == plain(e)`` after ``e.save(p)``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.captures import CLASSES
from models.errors import DataError
from models.evaluation.average_precision import MatchTable, average_precision
from models.evaluation.matching import FrameMatch
from models.records import RecordFile

__all__ = ["Evaluation", "FrameRecord", "Metric", "Slice"]


class Metric(Enum):
    """The figure that an evaluation is judged by."""

    AP50 = "AP50"
    TOP_1 = "top-1"
    SQNR = "SQNR"

    @property
    def unit(self) -> str:
        """Points (hundredths), or decibels."""
        return "dB" if self is Metric.SQNR else "points"


@dataclass(frozen=True)
class FrameRecord:
    """One frame of an evaluation.

    Attributes:
        id: the capture's id.
        scene: its scene, the unit of the bootstrap.
        conditions: pairs of axis and category.
        match: its detections matched with its truth.
        missed: indices of the objects without a detection above the operating point.
        value: the frame's figure, of a metric that is a mean over frames; NaN of AP50.
    """

    id: str
    scene: str
    conditions: tuple[tuple[str, str], ...]
    match: FrameMatch
    missed: tuple[int, ...] = ()
    value: float = math.nan


@dataclass(frozen=True, slots=True)
class Slice:
    """The figures within one category of one condition axis; ``("all", "all")`` is the whole set.

    Attributes:
        axis: e.g. ``thermal``.
        category: e.g. ``crossover``.
        frames: frames in it.
        objects: objects in them that are not ignored.
        ap50: the evaluation's metric: AP50 in [0, 1], top-1 accuracy in [0, 1], or SQNR in hundreds of decibels; NaN
            without objects.
        ap: COCO AP, IoU 0.50 to 0.95; NaN without objects.
        ap_small: COCO AP of objects under 32 x 32 px; NaN without any.
        recall: recall at the operating point of the whole set; NaN without objects.
        range_error: median of |range error| / range over the objects found there, NaN without any.
        velocity_error_mps: mean of |velocity error| over them, NaN without any.
    """

    axis: str
    category: str
    frames: int
    objects: int
    ap50: float
    ap: float
    ap_small: float
    recall: float
    range_error: float
    velocity_error_mps: float


@dataclass(frozen=True)
class Evaluation:
    """One model on one set of captures.

    Attributes:
        model: name of the model, for tables.
        pool: name of the set.
        data_digest: digest of the set.
        model_digest: SHA-256 of the model, hex, or ``""``.
        score: the operating point.
        slices: the whole set first, then each category of each axis.
        frames: one record per frame.
        classes: the class names, by index.
        metric: what ``ap50`` of its slices is, and what the gate compares.
    """

    model: str
    pool: str
    data_digest: str
    model_digest: str
    score: float
    slices: tuple[Slice, ...]
    frames: tuple[FrameRecord, ...] = field(repr=False)
    classes: tuple[str, ...] = CLASSES
    metric: Metric = Metric.AP50

    @property
    def whole(self) -> Slice:
        """The figures of the whole set."""
        return self.slices[0]

    @property
    def ap50(self) -> float:
        """AP at IoU 0.5 on the whole set."""
        return self.whole.ap50

    @property
    def ap(self) -> float:
        """COCO AP on the whole set."""
        return self.whole.ap

    @property
    def ap_small(self) -> float:
        """COCO AP of small objects on the whole set."""
        return self.whole.ap_small

    @property
    def conditions(self) -> tuple[Slice, ...]:
        """The figures by condition category."""
        return self.slices[1:]

    @cached_property
    def table(self) -> MatchTable:
        """All matches, for average precision with frame weights."""
        return MatchTable.of([frame.match for frame in self.frames], len(self.classes))

    def figures(self, weights: NDArray[np.float64], label: int | None = None) -> NDArray[np.float64]:
        """Return the metric for each weighting of the frames.

        Args:
            weights: float64 [b, frames], how often each frame counts.
            label: of one class alone.

        Returns:
            float64 [b]: AP50 and top-1 in [0, 1], SQNR in hundreds of decibels; NaN where no frame counts.
        """
        if self.metric is Metric.AP50:
            return average_precision(self.table if label is None else self.table.of_class(label), weights)
        values = np.array([frame.value for frame in self.frames]) / (100 if self.metric is Metric.SQNR else 1)
        if label is not None:
            weights = weights * np.array([float((frame.match.truth == label).any()) for frame in self.frames])
        total = weights.sum(axis=1)
        return np.divide(weights @ values, total, out=np.full(len(weights), np.nan), where=total > 0)

    def mask(self, axis: str, category: str) -> NDArray[np.float64]:
        """Return 1.0 for the frames of a category, else 0.0; float64 [frames]."""
        if axis == "all":
            return np.ones(len(self.frames))
        return np.array([float((axis, category) in frame.conditions) for frame in self.frames])

    def worst(self, count: int = 10) -> tuple[FrameRecord, ...]:
        """Return the frames with the most missed objects."""
        return tuple(sorted((f for f in self.frames if f.missed), key=lambda f: (-len(f.missed), f.id))[:count])

    def save(self, path: Path) -> None:
        """Write the evaluation as JSON."""
        FILE.save(self, path)

    @classmethod
    def load(cls, path: Path) -> Evaluation:
        """Read an evaluation.

        Raises:
            DataError: the file is missing or not an evaluation.
        """
        return FILE.load(path)


FILE = RecordFile(Evaluation, "an evaluation", 3, "evaluate again", DataError, indent=None)
