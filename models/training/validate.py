"""Running a Keras detector over captures, and its AP50 there."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from models.captures import CaptureSet
from models.evaluation.metrics import evaluate
from models.heads import DecodePolicy, Detections, decode
from models.networks import feed, frame_size
from models.preprocess import batch, to_unit

__all__ = ["ap50_of", "detect"]

_BATCH = 25


def detect(
    model: keras.Model,
    captures: CaptureSet,
    progress: Callable[[int, int], None] | None = None,
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


def ap50_of(model: keras.Model, captures: CaptureSet, progress: Callable[[int, int], None] | None = None) -> float:
    """Return the model's AP50 on ``captures``, in [0, 1]."""
    return float(evaluate(captures, detect(model, captures, progress), "keras").ap50)
