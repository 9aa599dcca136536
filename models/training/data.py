"""Captures as arrays in memory: 8-bit frames and padded truth, as a training step gathers them.

Knows preprocessing and truth; knows no network and no augmentation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.captures import CaptureSet, TruthObject
from models.errors import DataError
from models.heads import RANGE_LOG2_MEAN, RANGE_LOG2_SCALE, VELOCITY_SCALE_MPS
from models.preprocess import network_frames, network_truth
from models.progress import Count

__all__ = ["TrainingArrays", "load_arrays"]


@dataclass(frozen=True, slots=True)
class TrainingArrays:
    """N captures at the network's size; M is the largest number of objects in one.

    Attributes:
        eo: uint8 [N, H, W, 3].
        lwir: uint8 [N, H, W, 1].
        boxes: float32 [N, M, 4], x0 y0 x1 y1 in pixels.
        classes: int32 [N, M].
        kinematics: float32 [N, M, 2], in the units of the ``kin`` outputs.
        kinematics_known: float32 [N, M, 2], 1 where truth knows it.
        state: int32 [N, M]: 1 an object, -1 an object to ignore, 0 padding.
    """

    eo: NDArray[np.uint8]
    lwir: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    classes: NDArray[np.int32]
    kinematics: NDArray[np.float32]
    kinematics_known: NDArray[np.float32]
    state: NDArray[np.int32]

    def __len__(self) -> int:
        """Return the number of captures."""
        return len(self.eo)

    def joined(self, other: TrainingArrays) -> TrainingArrays:
        """Return the captures of both, of one size of frame."""
        most = max(self.state.shape[1], other.state.shape[1])

        def together(name: str) -> NDArray[Any]:
            parts = [getattr(part, name) for part in (self, other)]
            if name not in ("eo", "lwir"):
                parts = [np.pad(p, [(0, 0), (0, most - p.shape[1]), *[(0, 0)] * (p.ndim - 2)]) for p in parts]
            return np.concatenate(parts)

        return TrainingArrays(*(together(item.name) for item in fields(self)))


def load_arrays(captures: CaptureSet, height: int, width: int, progress: Count | None = None) -> TrainingArrays:
    """Preprocess a whole set into memory (4 bytes a pixel: 131 MB for 1,600 pairs of 160x128).

    Args:
        captures: what to load.
        height: pixels of the network's input.
        width: pixels of the network's input.
        progress: called with (captures done, captures in all).

    Raises:
        DataError: the set is empty, or a box is not finite.
    """
    count = len(captures)
    if not count:
        raise DataError(f"capture set {captures.name!r} is empty; training needs at least one capture")
    most = max(1, *(len(capture.objects) for capture in captures.captures))
    arrays = TrainingArrays(
        np.empty((count, height, width, 3), np.uint8),
        np.empty((count, height, width, 1), np.uint8),
        np.zeros((count, most, 4), np.float32),
        np.zeros((count, most), np.int32),
        np.zeros((count, most, 2), np.float32),
        np.zeros((count, most, 2), np.float32),
        np.zeros((count, most), np.int32),
    )
    for row, capture in enumerate(captures.captures):
        arrays.eo[row], arrays.lwir[row, :, :, 0], transform = network_frames(captures, row, height, width)
        for slot, item in enumerate(network_truth(capture, transform)):
            _fill(arrays, row, slot, item, f"{captures.name}: capture {capture.id}")
        if progress is not None:
            progress(row + 1, count)
    return arrays


def _fill(arrays: TrainingArrays, row: int, slot: int, item: TruthObject, where: str) -> None:
    if not all(math.isfinite(value) for value in item.box):
        raise DataError(f"{where}: box {item.box} is not finite; correct the annotation")
    arrays.boxes[row, slot] = item.box
    arrays.classes[row, slot] = int(item.object_class)
    arrays.state[row, slot] = -1 if item.ignore else 1
    if item.range_m is not None and item.range_m > 0:
        arrays.kinematics[row, slot, 0] = (math.log2(item.range_m) - RANGE_LOG2_MEAN) / RANGE_LOG2_SCALE
        arrays.kinematics_known[row, slot, 0] = 1.0
    if item.velocity_mps is not None:
        arrays.kinematics[row, slot, 1] = item.velocity_mps / VELOCITY_SCALE_MPS
        arrays.kinematics_known[row, slot, 1] = 1.0
