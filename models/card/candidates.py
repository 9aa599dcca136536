"""Boxes before they are detections, and the arithmetic that decodings share. Knows no network.

Boxes are float32 [n, 4], x0 y0 x1 y1 in pixels of the network's input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.errors import DataError
from models.heads import DecodePolicy, Detections, suppress

__all__ = [
    "Activation", "Candidates", "Floats", "activated", "corners", "detections", "grid_cells", "picked", "rows",
    "tensor",
]  # fmt: skip

Floats = NDArray[np.float32]
Activation = Literal["sigmoid", "softmax", "none"]


@dataclass(frozen=True, slots=True)
class Candidates:
    """Boxes with a score and a class each; float32 [n, 4], float32 [n], int64 [n]."""

    boxes: Floats
    scores: Floats
    classes: NDArray[np.int64]


def tensor(outputs: Mapping[str, Floats], name: str) -> Floats:
    """Return an output without its batch dimension.

    Raises:
        DataError: the graph has no such output, or its batch is not 1.
    """
    if name not in outputs:
        raise DataError(f"the graph has no output {name!r}; it has {', '.join(sorted(outputs))}")
    found = outputs[name]
    if found.ndim and found.shape[0] != 1:
        raise DataError(f"output {name!r} is of shape {list(found.shape)}; its batch must be 1")
    return found[0] if found.ndim else found


def rows(values: Floats, channels: int, name: str) -> Floats:
    """Return a tensor [n, c], [c, n], [h, w, k c] or [k c, h, w] as rows of so many channels, cells in row order.

    Raises:
        DataError: neither its first nor its last dimension is of that size.
    """
    if values.ndim in (2, 3):
        if values.shape[-1] % channels == 0 and (values.ndim == 3 or values.shape[-1] == channels):
            return values.reshape(-1, channels)
        if values.shape[0] % channels == 0 and (values.ndim == 3 or values.shape[0] == channels):
            return np.ascontiguousarray(np.moveaxis(values, 0, -1)).reshape(-1, channels)
    raise DataError(
        f"output {name!r} is of shape [1, {', '.join(map(str, values.shape))}]; it needs {channels} channels"
    )


def activated(values: Floats, activation: Activation) -> Floats:
    """Return scores in [0, 1]; a softmax runs over the last axis."""
    if activation == "none":
        return values
    if activation == "sigmoid":
        return np.asarray(1.0 / (1.0 + np.exp(-values.astype(np.float32))), np.float32)
    raised = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True), np.float32)


def corners(boxes: Floats) -> Floats:
    """Return boxes given as centre x, centre y, width, height by their corners."""
    half = boxes[:, 2:] / 2
    return np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], axis=1)


def grid_cells(size: tuple[int, int], strides: Sequence[int], per_cell: int = 1) -> tuple[Floats, Floats]:
    """Return each cell's column and row, float32 [n, 2], and its stride, float32 [n, 1]: level by level, row by row.

    Args:
        size: height and width of the network's input.
        strides: of the levels; a level has ceil(size / stride) cells.
        per_cell: how many times each cell stands.
    """
    cells, steps = [], []
    for stride in strides:
        height, width = (-(-side // stride) for side in size)
        row, column = np.divmod(np.arange(height * width).repeat(per_cell), width)
        cells.append(np.stack([column, row], axis=1))
        steps.append(np.full((len(row), 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(steps).astype(np.float32)


def picked(boxes: Floats, scores: Floats, least: float) -> Candidates:
    """Return a candidate for each box and class of at least the score ``least``; ``scores`` is float32 [n, classes]."""
    row, label = np.nonzero(scores >= least)
    return Candidates(boxes[row], scores[row, label], label.astype(np.int64))


def detections(found: Candidates, policy: DecodePolicy, *, overlapping: bool) -> Detections:
    """Return the best candidates, after non-maximum suppression within each class where they overlap."""
    boxes, scores = found.boxes.astype(np.float32), found.scores.astype(np.float32)
    if overlapping:
        index = suppress(boxes, scores, found.classes, policy)
    else:
        index = np.argsort(-scores, kind="stable")[: policy.limit]
    unknown = np.full(len(index), np.nan, np.float32)
    return Detections(boxes[index], scores[index], found.classes[index], unknown, unknown)
