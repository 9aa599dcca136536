"""The interface of a detector: inputs, outputs and decoding. NumPy only.

A network has two inputs and three outputs per stride ``s``; used by host, board and evaluation.

    eo     float [1, H, W, 3]   red, green, blue in [0, 1]        INT8 graph: value - 128 of the 8-bit frame
    lwir   float [1, H, W, 1]   8-bit AGC view in [0, 1]          INT8 graph: value - 128 of the AGC view
    cls_s  float [1, H/s, W/s, 6]   class logits; score = sigmoid
    box_s  float [1, H/s, W/s, 4]   distances from the cell's centre to left, top, right, bottom, in strides
    kin_s  float [1, H/s, W/s, 2]   (log2 range - RANGE_LOG2_MEAN) / RANGE_LOG2_SCALE, velocity / VELOCITY_SCALE_MPS

The cell (i, j) has its centre at ((j + 0.5) s, (i + 0.5) s) pixels (anchor-free, as in FCOS, Tian et al. 2019).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "INPUT_EO",
    "INPUT_LWIR",
    "RANGE_LOG2_MEAN",
    "RANGE_LOG2_SCALE",
    "VELOCITY_SCALE_MPS",
    "DecodePolicy",
    "Detections",
    "decode",
    "is_grid",
    "output_strides",
    "suppress",
]

INPUT_EO = "eo"
INPUT_LWIR = "lwir"
# Ranges of interest are 25 m to 1.6 km, six octaves around 200 m: this maps them to about +-1.5.
RANGE_LOG2_MEAN = 7.6
RANGE_LOG2_SCALE = 2.0
# Road traffic stays within +-40 m/s; people within 3.
VELOCITY_SCALE_MPS = 15.0

_OUTPUT = re.compile(r"^(cls|box|kin)_(\d+)$")


@dataclass(frozen=True, slots=True)
class Detections:
    """Detections in one frame, in descending order of score.

    Attributes:
        boxes: float32 [n, 4], x0 y0 x1 y1 in pixels of the network's input.
        scores: float32 [n], in [0, 1].
        classes: int64 [n], indices of the class names of the captures or the card.
        range_m: float32 [n], metres; NaN where the detector does not tell.
        velocity_mps: float32 [n], radial, positive away from the sensor; NaN where the detector does not tell.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    range_m: NDArray[np.float32]
    velocity_mps: NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.scores)


@dataclass(frozen=True, slots=True)
class DecodePolicy:
    """Thresholds for decoding raw outputs.

    Attributes:
        score: minimum score.
        iou: overlap above which the weaker of two boxes of one class is dropped.
        limit: maximum number of objects per frame.
    """

    score: float = 0.05
    iou: float = 0.5
    limit: int = 100


def output_strides(names: Mapping[str, object] | tuple[str, ...] | list[str]) -> tuple[int, ...]:
    """Return the strides with a complete set of outputs in ``names``, ascending.

    Raises:
        ValueError: a set is incomplete, or a name is unknown.
    """
    found: dict[int, set[str]] = {}
    for name in names:
        match = _OUTPUT.match(name)
        if match is None:
            raise ValueError(f"output {name!r} is not of the form cls_8, box_8 or kin_8")
        found.setdefault(int(match[2]), set()).add(match[1])
    for stride, parts in found.items():
        if parts != {"cls", "box", "kin"}:
            raise ValueError(f"stride {stride} has no {sorted({'cls', 'box', 'kin'} - parts)}")
    return tuple(sorted(found))


def is_grid(names: Iterable[str]) -> bool:
    """Return whether the names are complete sets of outputs for at least one stride."""
    try:
        return bool(output_strides(tuple(names)))
    except ValueError:
        return False


def decode(outputs: Mapping[str, NDArray[np.float32]], policy: DecodePolicy | None = None) -> Detections:
    """Decode one frame's dequantized outputs.

    Args:
        outputs: ``cls_s``, ``box_s``, ``kin_s`` for each stride, float32, shape [1, h, w, c] or [h, w, c].
        policy: thresholds; the default if None.

    Returns:
        At most ``policy.limit`` objects after greedy non-maximum suppression within each class.
    """
    policy = policy or DecodePolicy()
    boxes, scores, classes, kinematics = [], [], [], []
    for stride in output_strides(tuple(outputs)):
        cls = outputs[f"cls_{stride}"].reshape(outputs[f"cls_{stride}"].shape[-3:])
        probability = 1.0 / (1.0 + np.exp(-cls.astype(np.float32)))
        row, column, label = np.nonzero(probability >= policy.score)
        distance = outputs[f"box_{stride}"].reshape((*cls.shape[:2], 4))[row, column] * stride
        centre_x, centre_y = (column + 0.5) * stride, (row + 0.5) * stride
        boxes.append(
            np.stack(
                [
                    centre_x - distance[:, 0],
                    centre_y - distance[:, 1],
                    centre_x + distance[:, 2],
                    centre_y + distance[:, 3],
                ],
                axis=1,
            )
        )
        scores.append(probability[row, column, label])
        classes.append(label)
        kinematics.append(outputs[f"kin_{stride}"].reshape((*cls.shape[:2], 2))[row, column])
    placed = np.concatenate(boxes).astype(np.float32)
    score = np.concatenate(scores).astype(np.float32)
    label = np.concatenate(classes).astype(np.int64)
    index = suppress(placed, score, label, policy)
    kinematic = np.concatenate(kinematics).astype(np.float32)[index]
    log2_range = kinematic[:, 0] * RANGE_LOG2_SCALE + RANGE_LOG2_MEAN
    return Detections(
        boxes=placed[index],
        scores=score[index],
        classes=label[index],
        range_m=np.exp2(np.clip(log2_range, 0, 14)).astype(np.float32),
        velocity_mps=(kinematic[:, 1] * VELOCITY_SCALE_MPS).astype(np.float32),
    )


def suppress(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], classes: NDArray[np.int64], policy: DecodePolicy
) -> NDArray[np.int64]:
    """Return the positions that greedy non-maximum suppression per class keeps, by descending score.

    Ties break by position, so the result is deterministic.

    Args:
        boxes: float32 [n, 4], x0 y0 x1 y1; those of zero area are left out.
        scores: float32 [n].
        classes: int64 [n].
        policy: the IoU limit and the maximum number of boxes.
    """
    sized = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    order = np.nonzero(sized)[0]
    order = order[np.argsort(-scores[order], kind="stable")][: policy.limit * 10]
    keep: list[int] = []
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    while len(order) and len(keep) < policy.limit:
        best, rest = order[0], order[1:]
        keep.append(int(best))
        low = np.maximum(boxes[best, :2], boxes[rest, :2])
        high = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        overlap = np.prod(np.maximum(high - low, 0), axis=1)
        iou = overlap / (area[best] + area[rest] - overlap)
        order = rest[~((iou > policy.iou) & (classes[rest] == classes[best]))]
    return np.asarray(keep, dtype=np.int64)
