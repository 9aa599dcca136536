"""The score threshold that promises a recall: risk control on an evaluation, in the worst condition.

The risk is the fraction of a scene's objects that no detection of at least the threshold finds, averaged over scenes. A
threshold is valid when a test at level ``1 - confidence`` rejects that its risk is above ``1 - recall``; since the risk
only rises with the threshold, thresholds are tested from the lowest up until one is not rejected (fixed sequence). The
p-value is Hoeffding's and Bentkus's (Bates et al., "Distribution-free, risk-controlling prediction sets", 2021;
Angelopoulos et al., "Learn then test", 2021). Scenes, not frames, are what is exchangeable.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from models.card import OperatingPoint
from models.errors import DataError
from models.evaluation.evaluation import Evaluation

__all__ = [
    "SceneFinds", "false_alarms", "fit_operating_point", "kept_recall", "p_value", "scene_finds", "valid_threshold",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class SceneFinds:
    """A scene's objects: how many there are, and the scores of those that were found, float64 [n]."""

    objects: int
    scores: NDArray[np.float64]

    def risk(self, thresholds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the fraction of the objects that each threshold misses, float64 [t]."""
        found = len(self.scores) - np.searchsorted(np.sort(self.scores), thresholds, side="left")
        return np.asarray(1.0 - found / self.objects)


def scene_finds(evaluation: Evaluation, axis: str = "all", category: str = "all") -> list[SceneFinds]:
    """Return the scenes of a condition that have objects."""
    inside = evaluation.mask(axis, category)
    scenes: dict[str, list[int]] = {}
    for index in np.flatnonzero(inside):
        scenes.setdefault(evaluation.frames[index].scene, []).append(int(index))
    found = []
    for members in scenes.values():
        matches = [evaluation.frames[index].match for index in members]
        objects = sum(len(match.truth) for match in matches)
        if objects:
            found.append(SceneFinds(objects, np.concatenate([match.scores[match.outcome == 1] for match in matches])))
    return found


def kept_recall(evaluation: Evaluation, score: float, axis: str = "all", category: str = "all") -> float:
    """Return the mean over a condition's scenes of the fraction of objects found at ``score``; NaN without objects."""
    risks = [scene.risk(np.array([score]))[0] for scene in scene_finds(evaluation, axis, category)]
    return 1.0 - float(np.mean(risks)) if risks else math.nan


def false_alarms(evaluation: Evaluation, score: float) -> float:
    """Return the false alarms a frame at ``score``."""
    alarms = sum(int(((frame.match.outcome == 0) & (frame.match.scores >= score)).sum()) for frame in evaluation.frames)
    return alarms / len(evaluation.frames)


def p_value(risk: NDArray[np.float64], scenes: int, bound: float) -> NDArray[np.float64]:
    """Return the p-value of "the true risk is above ``bound``", for each mean risk over so many scenes."""
    low = np.minimum(risk, bound)
    with np.errstate(divide="ignore", invalid="ignore"):
        first = np.where(low > 0, low * np.log(low / bound), 0.0)
        second = np.where(low < 1, (1 - low) * np.log((1 - low) / (1 - bound)), 0.0)
    hoeffding = np.exp(-scenes * (first + second))
    bentkus = np.e * binom.cdf(np.ceil(scenes * risk), scenes, bound)
    return np.asarray(np.minimum(np.minimum(hoeffding, bentkus), 1.0))


def valid_threshold(scenes: Sequence[SceneFinds], recall: float, confidence: float) -> float | None:
    """Return the highest threshold that keeps the promise over scenes like these; None when none does."""
    if not scenes:
        return None
    candidates = np.unique(np.concatenate([[0.0], *(scene.scores for scene in scenes)]))
    risk = np.mean([scene.risk(candidates) for scene in scenes], axis=0)
    rejected = p_value(risk, len(scenes), 1 - recall) <= 1 - confidence
    count = len(rejected) if rejected.all() else int(np.argmin(rejected))
    return float(candidates[count - 1]) if count else None


def fit_operating_point(evaluation: Evaluation, recall: float, confidence: float) -> OperatingPoint:
    """Return the highest threshold that keeps ``recall`` in each condition with ``confidence``.

    Raises:
        DataError: no threshold does in some condition; the text names it, its recall with every detection, and how
            many scenes it would take.
    """
    thresholds = []
    for part in evaluation.slices:
        scenes = scene_finds(evaluation, part.axis, part.category)
        if not scenes:
            continue
        found = valid_threshold(scenes, recall, confidence)
        if found is None:
            raise DataError(_refusal(scenes, recall, confidence, f"{part.axis}: {part.category}"))
        thresholds.append(found)
    if not thresholds:
        raise DataError(f"{evaluation.pool} has no objects; an operating point needs captures with objects")
    return OperatingPoint(score=min(thresholds), recall=recall, confidence=confidence, data=evaluation.data_digest)


def _refusal(scenes: Sequence[SceneFinds], recall: float, confidence: float, where: str) -> str:
    best = float(np.mean([scene.risk(np.zeros(1))[0] for scene in scenes]))
    text = (
        f"{where}: no score keeps a recall of {recall:g} with confidence {confidence:g}: with every detection the "
        f"recall is {1 - best:.3f} over {len(scenes)} scenes"
    )
    needed = next(_enough(best, 1 - recall, 1 - confidence), None)
    advice = "promise less" if needed is None else f"that takes {needed} scenes, or promise less"
    return f"{text}; {advice}"


def _enough(risk: float, bound: float, level: float) -> Iterator[int]:
    """Yield a number of scenes at which this risk would be enough; nothing when no number is."""
    if risk < bound:
        for scenes in np.unique(np.geomspace(10, 100_000, 200).astype(int)):
            if p_value(np.array([risk]), int(scenes), bound)[0] <= level:
                yield int(scenes)
