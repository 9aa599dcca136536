"""What the float parent teaches its quantized child: its own answers, cell by cell, and what it sees on the way."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf

from models.training.loss import LossParts

__all__ = ["teach", "teach_features", "teach_outputs"]

_CLASS_WEIGHT, _BOX_WEIGHT, _KINEMATICS_WEIGHT = 4.0, 1.0, 0.3
_EPSILON = 1e-6


def teach(student: dict[str, tf.Tensor], teacher: dict[str, tf.Tensor]) -> LossParts:
    """Return how far the student's raw outputs are from the teacher's, where the teacher sees something.

    Classes: squared difference of the scores, per unit of the teacher's score, so that thousands of empty cells do not
    drown the few that matter. Boxes and kinematics: absolute difference, weighted by the teacher's best score.

    Args:
        student: raw outputs as in `models.heads`, float32 [B, h, w, c].
        teacher: the same of the teacher; gradients are expected to be stopped.
    """
    strides = sorted(int(name.removeprefix("cls_")) for name in teacher if name.startswith("cls_"))
    classes, boxes, kinematics, total = (tf.constant(0.0) for _ in range(4))
    for stride in strides:
        wanted = tf.sigmoid(teacher[f"cls_{stride}"])
        weight = tf.reduce_max(wanted, axis=-1, keepdims=True)
        total += tf.reduce_sum(weight)
        classes += tf.reduce_sum((tf.sigmoid(student[f"cls_{stride}"]) - wanted) ** 2)
        boxes += tf.reduce_sum(weight * tf.abs(student[f"box_{stride}"] - teacher[f"box_{stride}"])) / 4
        kinematics += tf.reduce_sum(weight * tf.abs(student[f"kin_{stride}"] - teacher[f"kin_{stride}"])) / 2
    total += _EPSILON
    return LossParts(
        _CLASS_WEIGHT * classes / total, _BOX_WEIGHT * boxes / total, _KINEMATICS_WEIGHT * kinematics / total
    )


def teach_features(student: Sequence[tf.Tensor], teacher: Sequence[tf.Tensor]) -> tf.Tensor:
    """Return the mean squared difference of fused features, each in units of the teacher's mean square.

    Args:
        student: float32 [B, h, w, c] for each fusion layer; may be empty.
        teacher: the same of the teacher; gradients are expected to be stopped.
    """
    parts = [
        tf.reduce_mean((own - wanted) ** 2) / (tf.reduce_mean(wanted**2) + _EPSILON)
        for own, wanted in zip(student, teacher, strict=True)
    ]
    return tf.add_n(parts) / len(parts) if parts else tf.constant(0.0)


def teach_outputs(student: dict[str, tf.Tensor], teacher: dict[str, tf.Tensor]) -> tf.Tensor:
    """Return the mean over the outputs of their squared error, each in units of the teacher's variance.

    Args:
        student: outputs of any graph by name, [B, ...]; whole numbers (indices, counts) teach nothing.
        teacher: the same of the teacher; gradients are expected to be stopped.
    """
    parts = [
        tf.reduce_mean((student[name] - wanted) ** 2) / (tf.math.reduce_variance(wanted) + _EPSILON)
        for name, wanted in teacher.items()
        if wanted.dtype == tf.float32
    ]
    return tf.add_n(parts) / len(parts) if parts else tf.constant(0.0)
