"""Losses of quantized outputs per frame: divergence from the float network, and the task loss.

Groups are ranked by divergence, which is continuous, non-negative, and zero for the float network. With s the float
network's score of a cell (its best class), it is for one frame

    [4 sum (sigmoid(z') - sigmoid(z))^2 + 2 sum s |box' - box|^2 / 4 + 0.3 sum s |kin' - kin|^2 / 2] / sum s

with boxes in strides and kinematics in their units: the weights are those of the distillation loss, squared. It is
quadratic in the outputs, so its curvature at the float network is known exactly (`models.sensitivity.screen`).

For networks with other heads the divergence is the mean over the outputs of

    mean (y' - y)^2 / span^2

with span the width of the output's range, also quadratic.

The task loss is that of training with fixed targets: cells are assigned to objects by the float network's outputs. It
may fall where rounding happens to help.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from models.heads import is_grid, output_strides
from models.training.assign import Assignment
from models.training.augment import TrainingBatch
from models.training.loss import DetectionLoss

__all__ = ["Reference", "TaskLoss", "Weigh", "weigh_grid", "weigher"]

Weigh = Callable[["Outputs", "Outputs"], tf.Tensor]
"""Maps outputs, given those of the float network, to float32 [B, n] whose squared distance is the divergence."""

Outputs = Mapping[str, tf.Tensor]
_WEIGHTS = {"cls": 4.0, "box": 2.0 / 4, "kin": 0.3 / 2}


def weigher(outputs: Iterable[str], spans: Mapping[str, float]) -> Weigh:
    """Return the weighting of a network's outputs.

    Args:
        outputs: their names.
        spans: width of each output's range.
    """
    if is_grid(outputs):
        return weigh_grid
    factors = tuple(sorted((name, 1.0 / max(span, 1e-12)) for name, span in spans.items()))
    return _weigh_spans(factors)


@cache
def _weigh_spans(factors: tuple[tuple[str, float], ...]) -> Weigh:
    def weigh(outputs: Outputs, _: Outputs) -> tf.Tensor:
        parts = []
        for name, factor in factors:
            flat = tf.reshape(outputs[name], (tf.shape(outputs[name])[0], -1))
            size = tf.cast(tf.shape(flat)[1] * len(factors), tf.float32)
            parts.append(flat * factor / tf.sqrt(size))
        return tf.concat(parts, 1)

    return weigh


def weigh_grid(outputs: Outputs, reference: Outputs) -> tf.Tensor:
    """Return weighted outputs of detection heads, whose squared distance is the divergence.

    Args:
        outputs: raw, float32 [B, h, w, c] by name.
        reference: those of the float network, for the same frames.

    Returns:
        float32 [B, n].
    """
    strides = output_strides(tuple(reference))
    seen = {stride: tf.reduce_max(tf.sigmoid(reference[f"cls_{stride}"]), -1, keepdims=True) for stride in strides}
    total = tf.add_n([tf.reduce_sum(weight, (1, 2, 3)) for weight in seen.values()])
    parts = []
    for stride in strides:
        for part, factor in _WEIGHTS.items():
            raw = outputs[f"{part}_{stride}"]
            scaled = tf.sigmoid(raw) if part == "cls" else raw * tf.sqrt(seen[stride])
            parts.append(tf.reshape(scaled * factor**0.5, (tf.shape(raw)[0], -1)))
    return tf.concat(parts, 1) / tf.sqrt(total)[:, None]


class Reference:
    """The float network's outputs on some frames, the reference of variants."""

    def __init__(self, outputs: Outputs, weigh: Weigh = weigh_grid) -> None:
        self._outputs, self._weigh = outputs, weigh
        self._weighted = weigh(outputs, outputs)

    def divergence(self, outputs: Outputs) -> NDArray[np.float64]:
        """Return the divergence of each frame, float64 [B]."""
        distance = _squared_distance(self._weigh)
        return np.asarray(distance(dict(outputs), dict(self._outputs), self._weighted), np.float64)


@cache
def _squared_distance(weigh: Weigh) -> Callable[..., tf.Tensor]:
    """Return the distance of weighted outputs as one compiled function, since it runs for each variant."""

    def distance(outputs: Outputs, reference: Outputs, weighted: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum((weigh(outputs, reference) - weighted) ** 2, 1)

    return tf.function(distance, reduce_retracing=True, autograph=False)


class TaskLoss:
    """The training loss of each frame, with targets assigned by the float network's outputs."""

    def __init__(self, outputs: Outputs, truth: TrainingBatch, height: int, width: int) -> None:
        loss, self._by_frame = _traced(height, width, output_strides(tuple(outputs)))
        self._targets = loss.targets(dict(outputs), truth)
        self._objects = tf.maximum(tf.reduce_sum(self._targets.weight, 1), 1.0)

    def __call__(self, outputs: Outputs) -> NDArray[np.float64]:
        """Return the loss of each frame per unit of its objects' weight, float64 [B]."""
        return np.asarray(self._by_frame(dict(outputs), self._targets, self._objects), np.float64)


@cache
def _traced(height: int, width: int, strides: tuple[int, ...]) -> tuple[DetectionLoss, Callable[..., tf.Tensor]]:
    """Return the loss of a network and its per-object sum over a frame, compiled, since it runs for each variant."""
    loss = DetectionLoss(height, width, strides)

    def by_frame(outputs: Outputs, targets: Assignment, objects: tf.Tensor) -> tf.Tensor:
        parts = loss.by_frame(dict(outputs), targets)
        return (parts.classes + parts.boxes + parts.kinematics) / objects

    return loss, tf.function(by_frame, reduce_retracing=True, autograph=False)
