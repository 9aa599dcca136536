"""Which cells answer for which object: task-aligned assignment, recomputed at each step.

A cell competes for an object by ``score ** alpha * overlap ** beta``; the best few inside the box win, across all
strides at once (TAL, Feng et al. 2021, "TOOD"). No gradient passes through here.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

__all__ = ["Assignment", "assign", "cell_centres", "overlap"]

_ALPHA, _BETA = 0.5, 6.0
_CELLS_PER_OBJECT = 8


class Assignment(NamedTuple):
    """What each of A cells has to answer, for B captures.

    Attributes:
        scores: float32 [B, A, C], target of the class scores: 0 where empty, up to 1.
        boxes: float32 [B, A, 4], pixels.
        kinematics: float32 [B, A, 2].
        kinematics_known: float32 [B, A, 2].
        weight: float32 [B, A], 0 for empty cells; how much the cell's box counts.
        counted: float32 [B, A], 0 where an ignored object hides what is right.
    """

    scores: tf.Tensor
    boxes: tf.Tensor
    kinematics: tf.Tensor
    kinematics_known: tf.Tensor
    weight: tf.Tensor
    counted: tf.Tensor


def cell_centres(height: int, width: int, strides: tuple[int, ...]) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the centres float32 [A, 2] in pixels and strides float32 [A] of all cells, fine to coarse."""
    centres, sizes = [], []
    for stride in strides:
        rows, columns = height // stride, width // stride
        y, x = tf.meshgrid(tf.range(rows), tf.range(columns), indexing="ij")
        grid = tf.stack([tf.reshape(x, [-1]), tf.reshape(y, [-1])], axis=1)
        centres.append((tf.cast(grid, tf.float32) + 0.5) * stride)
        sizes.append(tf.fill([rows * columns], float(stride)))
    return tf.concat(centres, axis=0), tf.concat(sizes, axis=0)


def overlap(first: tf.Tensor, second: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return IoU and generalized IoU (Rezatofighi et al. 2019) of boxes [..., 4], broadcast."""
    low = tf.maximum(first[..., :2], second[..., :2])
    high = tf.minimum(first[..., 2:], second[..., 2:])
    shared = tf.reduce_prod(tf.maximum(high - low, 0.0), axis=-1)
    areas = [tf.reduce_prod(tf.maximum(box[..., 2:] - box[..., :2], 0.0), axis=-1) for box in (first, second)]
    union = areas[0] + areas[1] - shared + 1e-6
    hull_low, hull_high = tf.minimum(first[..., :2], second[..., :2]), tf.maximum(first[..., 2:], second[..., 2:])
    hull = tf.reduce_prod(tf.maximum(hull_high - hull_low, 0.0), axis=-1) + 1e-6
    iou = shared / union
    return iou, iou - (hull - union) / hull


def assign(
    scores: tf.Tensor,
    boxes: tf.Tensor,
    centres: tf.Tensor,
    strides: tf.Tensor,
    truth_boxes: tf.Tensor,
    truth_classes: tf.Tensor,
    truth_kinematics: tf.Tensor,
    truth_known: tf.Tensor,
    truth_state: tf.Tensor,
) -> Assignment:
    """Assign objects to cells.

    Args:
        scores: float32 [B, A, C], predicted, in [0, 1].
        boxes: float32 [B, A, 4], predicted, pixels.
        centres: float32 [A, 2], pixels.
        strides: float32 [A].
        truth_boxes: float32 [B, M, 4], pixels.
        truth_classes: int32 [B, M].
        truth_kinematics: float32 [B, M, 2].
        truth_known: float32 [B, M, 2].
        truth_state: int32 [B, M]: 1 an object, -1 ignored, 0 padding.
    """
    cells = scores.shape[1]
    kind = tf.one_hot(truth_classes, scores.shape[-1])
    iou, _ = overlap(truth_boxes[:, :, None], boxes[:, None])
    inside = _inside(centres, strides, truth_boxes)
    candidate = inside * tf.cast(truth_state == 1, tf.float32)[:, :, None]
    score = tf.einsum("bmc,bac->bma", kind, scores)
    # The small constants keep an order among cells while predictions are still blind.
    metric = (score + 1e-4) ** _ALPHA * (iou + 1e-2) ** _BETA * candidate
    least = tf.math.top_k(metric, k=min(_CELLS_PER_OBJECT, cells)).values[..., -1:]
    taken = tf.cast(metric >= tf.maximum(least, 1e-30), tf.float32) * candidate
    # A cell wanted by several objects goes to the one it overlaps most.
    rank = taken * (iou + 1e-3)
    owner = tf.argmax(rank, axis=1)
    taken *= tf.one_hot(owner, tf.shape(truth_boxes)[1], axis=1)
    aligned = metric * taken
    best = tf.reduce_max(iou * taken, axis=2, keepdims=True)
    target = aligned / (tf.reduce_max(aligned, axis=2, keepdims=True) + 1e-30) * best
    weight = tf.reduce_max(target, axis=1)
    ignored = inside * tf.cast(truth_state == -1, tf.float32)[:, :, None]
    answered = tf.reduce_max(taken, axis=1)
    return Assignment(
        scores=tf.einsum("bma,bmc->bac", target, kind),
        boxes=tf.einsum("bma,bmk->bak", taken, truth_boxes),
        kinematics=tf.einsum("bma,bmk->bak", taken, truth_kinematics),
        kinematics_known=tf.einsum("bma,bmk->bak", taken, truth_known),
        weight=weight,
        counted=1.0 - tf.reduce_max(ignored, axis=1) * (1.0 - answered),
    )


def _inside(centres: tf.Tensor, strides: tf.Tensor, boxes: tf.Tensor) -> tf.Tensor:
    """Return float32 [B, M, A]: 1 where a cell's centre lies in the box, or within half a cell of its centre."""
    low = centres[None, None] - boxes[:, :, None, :2]
    high = boxes[:, :, None, 2:] - centres[None, None]
    within = tf.reduce_min(tf.concat([low, high], axis=-1), axis=-1) > 0
    near = tf.reduce_max(tf.abs(high - low) / 2, axis=-1) <= strides / 2
    return tf.cast(within | near, tf.float32)
