"""What an evaluation is: figures by condition, one record a frame, and its file. Computes no figure.

The records suffice to compute every figure at IoU 0.5 again, and to compare two models. Round-trip law:
``Evaluation.from_json(e.to_json()).to_json() == e.to_json()``.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import DataError
from models.evaluation.average_precision import MatchTable
from models.evaluation.matching import FrameMatch

__all__ = ["Evaluation", "FrameRecord", "Slice"]

_SCHEMA = 2
_FIGURES = ("ap50", "ap", "ap_small", "recall", "range_error", "velocity_error_mps")


@dataclass(frozen=True)
class FrameRecord:
    """One frame of an evaluation.

    Attributes:
        id: the capture's id.
        scene: its scene: the unit of the bootstrap.
        conditions: pairs of axis and category.
        match: its detections against its truth.
        missed: indices of the objects that no detection above the operating point found.
    """

    id: str
    scene: str
    conditions: tuple[tuple[str, str], ...]
    match: FrameMatch
    missed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Slice:
    """The figures within one category of one condition axis; ``("all", "all")`` is the whole set.

    Attributes:
        axis: e.g. ``thermal``.
        category: e.g. ``crossover``.
        frames: frames in it.
        objects: objects that count in them.
        ap50: average precision at IoU 0.5 in [0, 1]; NaN without objects.
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
        model: what was evaluated, for people.
        pool: name of the set.
        data_digest: digest of the set.
        model_digest: SHA-256 of the model, hex, or ``""``.
        score: the operating point.
        slices: the whole set first, then each category of each axis.
        frames: one record a frame.
    """

    model: str
    pool: str
    data_digest: str
    model_digest: str
    score: float
    slices: tuple[Slice, ...]
    frames: tuple[FrameRecord, ...] = field(repr=False)

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
        """All matches, for average precision under frame weights."""
        return MatchTable.of([frame.match for frame in self.frames])

    def mask(self, axis: str, category: str) -> NDArray[np.float64]:
        """Return 1.0 for the frames of a category, else 0.0; float64 [frames]."""
        if axis == "all":
            return np.ones(len(self.frames))
        return np.array([float((axis, category) in frame.conditions) for frame in self.frames])

    def worst(self, count: int = 10) -> tuple[FrameRecord, ...]:
        """Return the frames with the most missed objects."""
        return tuple(sorted((f for f in self.frames if f.missed), key=lambda f: (-len(f.missed), f.id))[:count])

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "schema": _SCHEMA,
            "model": self.model,
            "pool": self.pool,
            "data_digest": self.data_digest,
            "model_digest": self.model_digest,
            "score": self.score,
            "slices": [{name: _number(getattr(s, name)) for name in s.__slots__} for s in self.slices],
            "frames": [_frame_to_json(frame) for frame in self.frames],
        }

    @classmethod
    def from_json(cls, item: dict[str, Any]) -> Evaluation:
        """Restore what `to_json` gave.

        Raises:
            DataError: the record is not an evaluation.
        """
        try:
            if item["schema"] != _SCHEMA:
                raise DataError(
                    f"an evaluation of schema {item['schema']}, this release reads {_SCHEMA}; evaluate again"
                )
            return cls(
                model=item["model"],
                pool=item["pool"],
                data_digest=item["data_digest"],
                model_digest=item["model_digest"],
                score=float(item["score"]),
                slices=tuple(Slice(**{**s, **{n: _nan(s[n]) for n in _FIGURES}}) for s in item["slices"]),
                frames=tuple(_frame_from_json(frame) for frame in item["frames"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"not an evaluation: {type(error).__name__} {error}") from error

    def save(self, path: Path) -> None:
        """Write the evaluation as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.to_json(), separators=(",", ":"), allow_nan=False) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Evaluation:
        """Read an evaluation.

        Raises:
            DataError: the file is missing or not an evaluation.
        """
        try:
            item = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read the evaluation {path}: {error}") from error
        return cls.from_json(item)


def _frame_to_json(frame: FrameRecord) -> dict[str, Any]:
    match = frame.match
    return {
        "id": frame.id,
        "scene": frame.scene,
        "conditions": [list(pair) for pair in frame.conditions],
        "missed": list(frame.missed),
        "scores": match.scores.tolist(),
        "classes": match.classes.tolist(),
        "outcome": match.outcome.tolist(),
        "target": match.target.tolist(),
        "range_error": [_number(value) for value in match.range_error.tolist()],
        "velocity_error_mps": [_number(value) for value in match.velocity_error_mps.tolist()],
        "truth": match.truth.tolist(),
        "counted": match.counted.tolist(),
    }


def _frame_from_json(item: dict[str, Any]) -> FrameRecord:
    match = FrameMatch(
        np.array(item["scores"], np.float64),
        np.array(item["classes"], np.int64),
        np.array(item["outcome"], np.int8),
        np.array(item["target"], np.int64),
        np.array([_nan(value) for value in item["range_error"]], np.float64),
        np.array([_nan(value) for value in item["velocity_error_mps"]], np.float64),
        np.array(item["truth"], np.int64),
        np.array(item["counted"], np.int64),
    )
    of_detection = {len(match.scores), len(match.classes), len(match.outcome), len(match.target)}
    if len(of_detection | {len(match.range_error), len(match.velocity_error_mps)}) > 1:
        raise DataError(f"frame {item['id']}: its columns differ in length; the evaluation is damaged")
    conditions = tuple((str(axis), str(category)) for axis, category in item["conditions"])
    return FrameRecord(item["id"], item["scene"], conditions, match, tuple(item["missed"]))


def _number(value: Any) -> Any:
    """JSON has no NaN: None stands for it."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _nan(value: float | None) -> float:
    return math.nan if value is None else float(value)
