"""The detector's loss: quality focal loss on classes, generalized IoU on boxes, smooth L1 on kinematics."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from models.training.assign import Assignment, assign, cell_centres, overlap
from models.training.augment import TrainingBatch

__all__ = ["DetectionLoss", "LossParts"]

_BOX_WEIGHT, _SIDE_WEIGHT, _KINEMATICS_WEIGHT = 2.0, 0.25, 0.3
_FOCUS = 2.0


class LossParts(NamedTuple):
    """Parts of a loss, each a float32 scalar, weighted as they are summed."""

    classes: tf.Tensor
    boxes: tf.Tensor
    kinematics: tf.Tensor
    features: tf.Tensor | float = 0.0

    @property
    def total(self) -> tf.Tensor:
        """The loss that is minimised."""
        return self.classes + self.boxes + self.kinematics + self.features


class DetectionLoss:
    """Loss of raw outputs against truth, for one input size and set of strides."""

    def __init__(self, height: int, width: int, strides: tuple[int, ...]) -> None:
        self._strides = strides
        self._centres, self._sizes = cell_centres(height, width, strides)

    def __call__(self, outputs: dict[str, tf.Tensor], truth: TrainingBatch) -> LossParts:
        """Return the parts of the loss, per object.

        Args:
            outputs: ``cls_s``, ``box_s``, ``kin_s``, float32 [B, h, w, c], see `models.heads`.
            truth: the batch; its frames are not looked at.
        """
        target = self.targets(outputs, truth)
        total = tf.maximum(tf.reduce_sum(target.weight), 1.0)
        return LossParts(*(tf.reduce_sum(part) / total for part in self.by_frame(outputs, target)[:3]))

    def targets(self, outputs: dict[str, tf.Tensor], truth: TrainingBatch) -> Assignment:
        """Return what each cell has to answer, given what the network answers now; no gradient passes."""
        logits, distances = (self._flat(outputs, part) for part in ("cls", "box"))
        target = assign(
            tf.stop_gradient(tf.sigmoid(logits)),
            tf.stop_gradient(self._boxes(distances)),
            self._centres,
            self._sizes,
            truth.boxes,
            truth.classes,
            truth.kinematics,
            truth.kinematics_known,
            truth.state,
        )
        return Assignment(*(tf.stop_gradient(part) for part in target))

    def by_frame(self, outputs: dict[str, tf.Tensor], target: Assignment) -> LossParts:
        """Return the parts as sums over each frame, float32 [B], not yet per object."""
        logits, distances, kinematics = (self._flat(outputs, part) for part in ("cls", "box", "kin"))
        wanted = self._distances(target.boxes)
        # Sides count in shares of the object, or large objects would rule.
        reach = tf.reduce_mean(tf.abs(wanted), axis=-1, keepdims=True) + 0.5
        sides = tf.reduce_mean(_smooth_l1((distances - wanted) / reach), axis=-1)
        _, giou = overlap(self._boxes(distances), target.boxes)
        motion = tf.reduce_sum(_smooth_l1(kinematics - target.kinematics) * target.kinematics_known, axis=-1)
        return LossParts(
            tf.reduce_sum(_quality_focal(logits, target.scores) * target.counted[..., None], axis=(1, 2)),
            tf.reduce_sum((_BOX_WEIGHT * (1.0 - giou) + _SIDE_WEIGHT * sides) * target.weight, axis=1),
            _KINEMATICS_WEIGHT * tf.reduce_sum(motion * target.weight, axis=1),
        )

    def _flat(self, outputs: dict[str, tf.Tensor], part: str) -> tf.Tensor:
        found = [outputs[f"{part}_{stride}"] for stride in self._strides]
        return tf.concat([tf.reshape(x, (tf.shape(x)[0], x.shape[1] * x.shape[2], x.shape[3])) for x in found], 1)

    def _boxes(self, distances: tf.Tensor) -> tf.Tensor:
        pixels = distances * self._sizes[:, None]
        return tf.concat([self._centres - pixels[..., :2], self._centres + pixels[..., 2:]], axis=-1)

    def _distances(self, boxes: tf.Tensor) -> tf.Tensor:
        pixels = tf.concat([self._centres - boxes[..., :2], boxes[..., 2:] - self._centres], axis=-1)
        return pixels / self._sizes[:, None]


def _quality_focal(logits: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
    """Return ``|target - p| ** 2 * crossentropy`` (Li et al. 2020, "Generalized Focal Loss")."""
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(target, logits)
    return tf.abs(target - tf.sigmoid(logits)) ** _FOCUS * entropy


def _smooth_l1(error: tf.Tensor) -> tf.Tensor:
    size = tf.abs(error)
    return tf.where(size < 1.0, 0.5 * size * size, size - 0.5)
