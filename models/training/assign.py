"""Which cells answer for which object: task-aligned assignment, recomputed at each step.

A cell competes for an object by ``score ** alpha * overlap ** beta``; the best few inside the box win, across all
strides at once (TAL, Feng et al. 2021, "TOOD"). No gradient passes through here.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from keras import ops
from numpy.typing import NDArray

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

    scores: Any
    boxes: Any
    kinematics: Any
    kinematics_known: Any
    weight: Any
    counted: Any


def cell_centres(height: int, width: int, strides: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the centres float32 [A, 2] in pixels and strides float32 [A] of all cells, fine to coarse."""
    centres, sizes = [], []
    for stride in strides:
        rows, columns = height // stride, width // stride
        y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
        grid = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
        centres.append((grid + np.float32(0.5)) * np.float32(stride))
        sizes.append(np.full(rows * columns, stride, np.float32))
    return np.concatenate(centres), np.concatenate(sizes)


def overlap(first: Any, second: Any) -> tuple[Any, Any]:
    """Return IoU and generalized IoU (Rezatofighi et al. 2019) of boxes [..., 4], broadcast."""
    low = ops.maximum(first[..., :2], second[..., :2])
    high = ops.minimum(first[..., 2:], second[..., 2:])
    shared = ops.prod(ops.maximum(high - low, 0.0), axis=-1)
    areas = [ops.prod(ops.maximum(box[..., 2:] - box[..., :2], 0.0), axis=-1) for box in (first, second)]
    union = areas[0] + areas[1] - shared + 1e-6
    hull_low, hull_high = ops.minimum(first[..., :2], second[..., :2]), ops.maximum(first[..., 2:], second[..., 2:])
    hull = ops.prod(ops.maximum(hull_high - hull_low, 0.0), axis=-1) + 1e-6
    iou = shared / union
    return iou, iou - (hull - union) / hull


def assign(
    scores: Any,
    boxes: Any,
    centres: Any,
    strides: Any,
    truth_boxes: Any,
    truth_classes: Any,
    truth_kinematics: Any,
    truth_known: Any,
    truth_state: Any,
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
    kind = ops.one_hot(truth_classes, scores.shape[-1])
    iou, _ = overlap(truth_boxes[:, :, None], boxes[:, None])
    inside = _inside(centres, strides, truth_boxes)
    candidate = inside * ops.cast(truth_state == 1, "float32")[:, :, None]
    score = ops.einsum("bmc,bac->bma", kind, scores)
    # The small constants keep an order among cells while predictions are still blind.
    metric = (score + 1e-4) ** _ALPHA * (iou + 1e-2) ** _BETA * candidate
    least = ops.top_k(metric, k=min(_CELLS_PER_OBJECT, cells))[0][..., -1:]
    taken = ops.cast(metric >= ops.maximum(least, 1e-30), "float32") * candidate
    # A cell wanted by several objects goes to the one it overlaps most.
    rank = taken * (iou + 1e-3)
    owner = ops.argmax(rank, axis=1)
    taken = taken * ops.one_hot(owner, truth_boxes.shape[1], axis=1)
    aligned = metric * taken
    best = ops.max(iou * taken, axis=2, keepdims=True)
    target = aligned / (ops.max(aligned, axis=2, keepdims=True) + 1e-30) * best
    weight = ops.max(target, axis=1)
    ignored = inside * ops.cast(truth_state == -1, "float32")[:, :, None]
    answered = ops.max(taken, axis=1)
    return Assignment(
        scores=ops.einsum("bma,bmc->bac", target, kind),
        boxes=ops.einsum("bma,bmk->bak", taken, truth_boxes),
        kinematics=ops.einsum("bma,bmk->bak", taken, truth_kinematics),
        kinematics_known=ops.einsum("bma,bmk->bak", taken, truth_known),
        weight=weight,
        counted=1.0 - ops.max(ignored, axis=1) * (1.0 - answered),
    )


def _inside(centres: Any, strides: Any, boxes: Any) -> Any:
    """Return float32 [B, M, A]: 1 where a cell's centre lies in the box, or within half a cell of its centre."""
    low = centres[None, None] - boxes[:, :, None, :2]
    high = boxes[:, :, None, 2:] - centres[None, None]
    within = ops.min(ops.concatenate([low, high], axis=-1), axis=-1) > 0
    near = ops.max(ops.abs(high - low) / 2, axis=-1) <= strides / 2
    return ops.cast(ops.logical_or(within, near), "float32")
