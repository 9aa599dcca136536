"""Evaluations whose figure is a mean over frames: a classifier's top-1 accuracy, and how near raw outputs are to float.

Both are an `Evaluation` like that of a detector, so that conditions, intervals and the gate are the same code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.device.runtime import Session
from models.captures import Capture, CaptureSet
from models.card.card import ModelCard
from models.card.decodings import Classifier
from models.card.feed import check_bands, graph_inputs
from models.errors import DataError
from models.evaluation.evaluation import Evaluation, FrameRecord, Metric
from models.evaluation.matching import FrameMatch
from models.evaluation.metrics import evaluate, recalculate
from models.evaluation.predict import dequantize_outputs
from models.heads import Detections
from models.progress import Count

__all__ = ["evaluate_classes", "evaluate_found", "evaluate_raw", "frame_class", "with_one_class"]

_MOST_DB = 120.0
"""SQNR of outputs that are equal: what float32 itself could show."""


def evaluate_found(
    card: ModelCard, captures: CaptureSet, found: Sequence[Detections], model: str, *, model_digest: str = ""
) -> Evaluation:
    """Judge what a graph found as its card asks: a detector by AP50, a classifier by top-1 accuracy.

    Args:
        card: of the graph.
        captures: the set; for a classifier one of `with_one_class`.
        found: one for each capture, in order.
        model: what to call the model.
        model_digest: SHA-256 of the model, hex.

    Raises:
        DataError: as for `models.evaluation.metrics.evaluate`.
    """
    judge = evaluate_classes if isinstance(card.decoding, Classifier) else evaluate
    return judge(captures, found, model, model_digest=model_digest)


def frame_class(capture: Capture) -> int | None:
    """Return the class of the objects that count in a capture; None when they are of several classes, or none."""
    classes = {item.object_class for item in capture.objects if not item.ignore}
    return classes.pop() if len(classes) == 1 else None


def with_one_class(captures: CaptureSet) -> CaptureSet:
    """Return the captures that a classifier can be judged on: whose objects are of one class.

    Raises:
        DataError: there is none.
    """
    indices = [index for index, capture in enumerate(captures.captures) if frame_class(capture) is not None]
    if not indices:
        raise DataError(
            f"{captures.name}: no frame shows objects of exactly one class, so that a classifier has no truth"
        )
    return captures if len(indices) == len(captures) else captures.subset(indices)


def evaluate_classes(
    captures: CaptureSet, found: Sequence[Detections], model: str, *, model_digest: str = ""
) -> Evaluation:
    """Judge a classifier: the share of frames whose first class is the right one.

    Raises:
        DataError: the numbers of frames differ, or a capture has no class.
    """
    if len(found) != len(captures):
        raise DataError(f"{len(found)} answers for the {len(captures)} captures of {captures.name!r}")
    frames = []
    for capture, seen in zip(captures.captures, found, strict=True):
        truth = frame_class(capture)
        if truth is None or len(seen) != 1:
            raise DataError(f"capture {capture.id} has not exactly one class and one answer")
        right = int(seen.classes[0]) == truth
        frames.append(_record(capture, truth, float(right), score=float(seen.scores[0]), answer=int(seen.classes[0])))
    return _evaluation(captures, frames, model, model_digest, Metric.TOP_1)


def evaluate_raw(
    captures: CaptureSet,
    session: Session,
    parent: Session,
    card: ModelCard,
    model: str,
    *,
    model_digest: str = "",
    progress: Count | None = None,
) -> Evaluation:
    """Judge outputs that nobody decodes: the SQNR of each frame against the float graph, the lowest of its outputs.

    SQNR is ``10 log10(sum (f - mean f)^2 / sum (f - q)^2)``, decibels, at most 120.

    Args:
        captures: the set.
        session: the graph.
        parent: the float graph, with inputs and outputs of the same names.
        card: of both.
        model: what to call the model.
        model_digest: SHA-256 of the model, hex.
        progress: called with (captures done, captures in all).

    Raises:
        DataError: the card does not fit one of them, or their outputs differ in name or shape.
    """
    for one in (session, parent):
        card.check(one.graph)
    check_bands(card, captures)
    frames = []
    for index, capture in enumerate(captures.captures):
        real, exact = (
            dequantize_outputs(one.graph, one.run(graph_inputs(card, one.graph, captures, index)[0]))
            for one in (session, parent)
        )
        frames.append(_record(capture, 0, _sqnr_db(real, exact)))
        if progress is not None:
            progress(index + 1, len(captures))
    return _evaluation(captures, frames, model, model_digest, Metric.SQNR)


def _sqnr_db(found: Mapping[str, NDArray[np.float32]], exact: Mapping[str, NDArray[np.float32]]) -> float:
    if {name: values.shape for name, values in found.items()} != {name: values.shape for name, values in exact.items()}:
        raise DataError("the graph's outputs are not those of the float graph, by name and shape")
    ratios = []
    for name, values in exact.items():
        real = values.astype(np.float64)
        signal, noise = np.square(real - real.mean()).sum(), np.square(real - found[name]).sum()
        if not (np.isfinite(signal) and np.isfinite(noise)):
            raise DataError(f"output {name} is not a number everywhere")
        ratios.append(10 * math.log10(max(signal, 1e-30) / noise) if noise > 0 else _MOST_DB)
    return min(*ratios, _MOST_DB)


def _record(capture: Capture, truth: int, value: float, *, score: float = 1.0, answer: int = 0) -> FrameRecord:
    """Return a frame's record: one answer, right unless its value is 0."""
    nothing = np.full(1, np.nan)
    right = value != 0
    match = FrameMatch(
        np.array([score]), np.array([answer]), np.array([right], np.int8), np.array([0 if right else -1]), nothing,
        nothing, np.array([truth]), np.array([0]),
    )  # fmt: skip
    return FrameRecord(capture.id, capture.scene, capture.conditions.items, match, value=value)


def _evaluation(
    captures: CaptureSet, frames: Sequence[FrameRecord], model: str, digest: str, metric: Metric
) -> Evaluation:
    classes = captures.classes
    draft = Evaluation(model, captures.name, captures.digest, digest, 0.0, (), tuple(frames), classes, metric)
    return recalculate(draft)
