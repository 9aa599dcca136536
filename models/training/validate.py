"""Running a Keras detector over captures, its AP50 there, and how far it falls from its parent where it falls most."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from models.captures import CaptureSet
from models.evaluation.metrics import Evaluation, evaluate
from models.heads import DecodePolicy, Detections, decode
from models.networks import feed, frame_size
from models.preprocess import batch, to_unit
from models.progress import Count

__all__ = ["Validation", "ap50_of", "detect", "evaluated", "validation_of"]

_BATCH = 25
_ENOUGH_OBJECTS = 50


@dataclass(frozen=True, slots=True)
class Validation:
    """What a network in training came to on the validation set.

    Attributes:
        ap50: over the whole set, in [0, 1]; None where there are no labels.
        worst_drop_points: AP50 that it loses against its float parent in the condition where it loses most, in
            points; None without a parent.
        sqnr_db: centred SQNR of the output that is farthest from its float parent's, where there are no labels.
    """

    ap50: float | None
    worst_drop_points: float | None = None
    sqnr_db: float | None = None

    @property
    def badness(self) -> float | None:
        """What the epochs of a fine-tuning are chosen by, less is better; None where it was not measured."""
        return self.worst_drop_points if self.sqnr_db is None else -self.sqnr_db


def detect(
    model: keras.Model,
    captures: CaptureSet,
    progress: Count | None = None,
    policy: DecodePolicy | None = None,
) -> list[Detections]:
    """Return what ``model`` finds in each capture, boxes in pixels of the capture's frame.

    Args:
        model: inputs and outputs as in `models.heads`.
        captures: what to look at.
        progress: called with (captures done, captures in all).
        policy: thresholds; the default if None.
    """
    height, width = frame_size(model)
    run = tf.function(lambda frames: model(frames, training=False), autograph=False)
    found: list[Detections] = []
    for first in range(0, len(captures), _BATCH):
        frames = batch(captures, range(first, min(first + _BATCH, len(captures))), height, width)
        outputs = run(feed(model, to_unit(frames.eo), to_unit(frames.lwir)))
        arrays = {name: np.asarray(value) for name, value in outputs.items()}
        for row, transform in enumerate(frames.transforms):
            seen = decode({name: value[row] for name, value in arrays.items()}, policy)
            boxes = transform.to_frame(seen.boxes)
            found.append(Detections(boxes, seen.scores, seen.classes, seen.range_m, seen.velocity_mps))
        if progress is not None:
            progress(len(found), len(captures))
    return found


def evaluated(model: keras.Model, captures: CaptureSet, progress: Count | None = None) -> Evaluation:
    """Return the model's evaluation on ``captures``."""
    return evaluate(captures, detect(model, captures, progress), "keras")


def ap50_of(model: keras.Model, captures: CaptureSet, progress: Count | None = None) -> float:
    """Return the model's AP50 on ``captures``, in [0, 1]."""
    return float(evaluated(model, captures, progress).ap50)


def validation_of(found: Evaluation, parent: Evaluation | None) -> Validation:
    """Return what counts of an evaluation; conditions with a few objects only do not decide what is worst."""
    if parent is None:
        return Validation(float(found.ap50))
    drops = [
        100 * (before.ap50 - after.ap50)
        for before, after in zip(parent.slices, found.slices, strict=True)
        if before.objects >= _ENOUGH_OBJECTS
    ]
    return Validation(float(found.ap50), max(drops, default=100 * (parent.ap50 - found.ap50)))
