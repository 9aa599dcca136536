"""How good a model is on one set: COCO's figures, recall at a false-alarm rate, range and velocity, by condition.

An `Evaluation` keeps one record a frame, so that every figure in it, and every comparison of two models, can be
computed again from its file. Round-trip law: ``Evaluation.from_json(e.to_json()).to_json() == e.to_json()``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.captures import Capture, CaptureSet
from models.errors import DataError
from models.evaluation.coco import coco_figures
from models.evaluation.matching import FrameMatch, match_frame
from models.evaluation.precision import MatchTable, average_precision
from models.heads import Detections

__all__ = ["FALSE_ALARMS_PER_FRAME", "Evaluation", "FrameRecord", "Slice", "evaluate"]

FALSE_ALARMS_PER_FRAME = 1.0
"""The operating point for recall and kinematics: the lowest score with at most so many false alarms a frame."""

_SCHEMA = 1


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
        recall: recall at the operating point of the whole set.
        range_error: median of |range error| / range over the objects found there, NaN without any.
        velocity_error_mps: mean of |velocity error| over them, NaN without any.
    """

    axis: str
    category: str
    frames: int
    objects: int
    ap50: float
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
        ap: COCO AP over IoU 0.50 to 0.95.
        ap_small: COCO AP of objects under 32 x 32 px.
        score: the operating point.
        slices: the whole set first, then each category of each axis.
        frames: one record a frame.
    """

    model: str
    pool: str
    data_digest: str
    model_digest: str
    ap: float
    ap_small: float
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
            "ap": _number(self.ap),
            "ap_small": _number(self.ap_small),
            "score": _number(self.score),
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
                raise DataError(f"an evaluation of schema {item['schema']}, this release reads {_SCHEMA}")
            numbers = ("ap50", "recall", "range_error", "velocity_error_mps")
            return cls(
                model=item["model"],
                pool=item["pool"],
                data_digest=item["data_digest"],
                model_digest=item["model_digest"],
                ap=_nan(item["ap"]),
                ap_small=_nan(item["ap_small"]),
                score=_nan(item["score"]),
                slices=tuple(Slice(**{**s, **{n: _nan(s[n]) for n in numbers}}) for s in item["slices"]),
                frames=tuple(_frame_from_json(frame) for frame in item["frames"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"not an evaluation: {type(error).__name__} {error}") from error

    def save(self, path: Path) -> None:
        """Write the evaluation as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.to_json(), separators=(",", ":")) + "\n")

    @classmethod
    def load(cls, path: Path) -> Evaluation:
        """Read an evaluation.

        Raises:
            DataError: the file is missing or not an evaluation.
        """
        try:
            item = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise DataError(f"cannot read the evaluation {path}: {error}") from error
        return cls.from_json(item)


def evaluate(
    captures: CaptureSet, detections: Sequence[Detections], model: str, *, model_digest: str = ""
) -> Evaluation:
    """Judge one model's detections, boxes in pixels of the frames.

    Args:
        captures: the set.
        detections: one for each capture, in order.
        model: what to call the model.
        model_digest: SHA-256 of the model, hex.

    Raises:
        DataError: the numbers of frames differ, the set is empty, or a detection is not a number.
    """
    if len(captures) != len(detections) or not len(captures):
        raise DataError(f"{len(detections)} frames of detections for the {len(captures)} captures of {captures.name!r}")
    for capture, seen in zip(captures.captures, detections, strict=True):
        if not all(np.isfinite(part).all() for part in (seen.boxes, seen.scores, seen.range_m, seen.velocity_mps)):
            raise DataError(f"a detection in capture {capture.id} is not a number")
    pairs = zip(captures.captures, detections, strict=True)
    matches = [match_frame(capture, seen) for capture, seen in pairs]
    score = _operating_point(matches)
    frames = tuple(
        FrameRecord(c.id, c.scene, c.conditions.items, match, _missed(c, match, score))
        for c, match in zip(captures.captures, matches, strict=True)
    )
    figures = coco_figures(captures, detections)
    draft = Evaluation(
        model, captures.name, captures.digest, model_digest, figures.ap, figures.ap_small, score, (), frames
    )
    categories = sorted({pair for frame in frames for pair in frame.conditions})
    slices = tuple(_slice(draft, axis, category) for axis, category in [("all", "all"), *categories])
    return Evaluation(
        model, captures.name, captures.digest, model_digest, figures.ap, figures.ap_small, score, slices, frames
    )


def _slice(evaluation: Evaluation, axis: str, category: str) -> Slice:
    mask = evaluation.mask(axis, category)
    chosen = [frame.match for frame, inside in zip(evaluation.frames, mask, strict=True) if inside]
    objects = sum(len(match.truth) for match in chosen)
    found = [(match.outcome == 1) & (match.scores >= evaluation.score) for match in chosen]
    ranges = _finite([m.range_error[hit] for m, hit in zip(chosen, found, strict=True)])
    velocities = _finite([m.velocity_error_mps[hit] for m, hit in zip(chosen, found, strict=True)])
    return Slice(
        axis=axis,
        category=category,
        frames=len(chosen),
        objects=objects,
        ap50=float(average_precision(evaluation.table, mask[None])[0]),
        recall=sum(int(hit.sum()) for hit in found) / objects if objects else math.nan,
        range_error=float(np.median(ranges)) if len(ranges) else math.nan,
        velocity_error_mps=float(np.mean(velocities)) if len(velocities) else math.nan,
    )


def _operating_point(matches: Sequence[FrameMatch]) -> float:
    """Return the lowest score with at most `FALSE_ALARMS_PER_FRAME` false alarms a frame."""
    alarms = np.sort(np.concatenate([match.scores[match.outcome == 0] for match in matches]))[::-1]
    allowed = int(FALSE_ALARMS_PER_FRAME * len(matches))
    return float(np.nextafter(alarms[allowed], np.inf)) if len(alarms) > allowed else 0.0


def _missed(capture: Capture, match: FrameMatch, score: float) -> tuple[int, ...]:
    found = set(match.target[(match.outcome == 1) & (match.scores >= score)].tolist())
    return tuple(i for i, item in enumerate(capture.objects) if not item.ignore and i not in found)


def _finite(parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    values = np.concatenate([*parts, np.zeros(0)])
    return np.asarray(values[np.isfinite(values)])


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
    )
    conditions = tuple((str(axis), str(category)) for axis, category in item["conditions"])
    return FrameRecord(item["id"], item["scene"], conditions, match, tuple(item["missed"]))


def _number(value: Any) -> Any:
    """JSON has no NaN: None stands for it."""
    return None if isinstance(value, float) and math.isnan(value) else value


def _nan(value: float | None) -> float:
    return math.nan if value is None else float(value)
