"""YOLO heads, decoded in the graph or not: anchor-free with and without DFL, anchors of versions 3 to 7, YOLOX."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.card.candidates import Floats, activated, corners, detections, grid_cells, picked, rows, tensor
from models.errors import DataError
from models.heads import DecodePolicy, Detections

__all__ = ["Yolo"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Yolo:
    """Boxes and class scores for each cell.

    Attributes:
        outputs: one of all levels, or one for each, in the order of the strides: [1, n, c] or [1, h, w, c], or with the
            channels first. Channels: the box, the objectness if any, the classes.
        scores: outputs of the classes alone, where they do not stand beside the boxes.
        code: how a box is written: ``decoded`` in the graph; ``distances`` from the cell's centre to left, top, right,
            bottom in strides; ``anchors`` of versions 5 to 7; ``centre`` (YOLOX: offset from the cell's corner and the
            logarithm of the size, in strides).
        boxes: of a decoded box: centre and size, or its corners.
        units: of a decoded box.
        strides: of the levels; unused where boxes are decoded.
        dfl_bins: of distances: each is the mean of a softmax over so many bins (DFL, Li et al. 2020); 0 for plain ones.
        anchors: for each level, each anchor's width and height in pixels.
        objectness: a factor of the class scores stands between box and classes.
        activation: what makes scores of objectness and classes.
        score: lowest score that a detection has.
        iou: overlap over which the weaker of two boxes of one class is dropped.
        limit: most detections of a frame.
    """

    outputs: tuple[str, ...]
    scores: tuple[str, ...] = ()
    code: Literal["decoded", "distances", "anchors", "centre"] = "decoded"
    boxes: Literal["xywh", "xyxy"] = "xywh"
    units: Literal["pixels", "fraction"] = "pixels"
    strides: tuple[int, ...] = ()
    dfl_bins: int = 0
    anchors: tuple[tuple[tuple[float, float], ...], ...] = ()
    objectness: bool = False
    activation: Literal["sigmoid", "none"] = "none"
    score: float = 0.05
    iou: float = 0.5
    limit: int = 100

    def __post_init__(self) -> None:
        """Refuse fields that do not belong together."""
        if self.code != "decoded" and not self.strides:
            raise ValueError(f"code = {self.code!r} needs strides")
        if self.code == "anchors" and (len(self.anchors) != len(self.strides) or len({*map(len, self.anchors)}) != 1):
            raise ValueError("code = 'anchors' needs anchors: as many for each stride")
        if self.dfl_bins and self.code != "distances":
            raise ValueError("dfl_bins belongs to code = 'distances'")

    def decode(self, outputs: Mapping[str, Floats], size: tuple[int, int], classes: int) -> Detections:
        """Decode one frame; see `models.card.decodings`."""
        width = 4 * self.dfl_bins or 4
        boxes, scores = self._split(outputs, width, classes)
        probability = activated(scores, self.activation)
        if self.objectness:
            probability = probability[:, :1] * probability[:, 1:]
        placed = self._placed(activated(boxes, "sigmoid") if self.code == "anchors" else boxes, size)
        policy = DecodePolicy(self.score, self.iou, self.limit)
        return detections(picked(placed, probability, self.score), policy, overlapping=True)

    def _split(self, outputs: Mapping[str, Floats], width: int, classes: int) -> tuple[Floats, Floats]:
        """Return box channels [n, width] and score channels [n, classes, one more with objectness]."""
        rest = classes + self.objectness

        def read(names: tuple[str, ...], channels: int) -> Floats:
            return np.concatenate([rows(tensor(outputs, name), channels, name) for name in names])

        if self.scores:
            boxes, scores = read(self.outputs, width), read(self.scores, rest)
            if len(boxes) != len(scores):
                raise DataError(f"{len(boxes)} boxes and {len(scores)} rows of scores: not alike")
            return boxes, scores
        whole = read(self.outputs, width + rest)
        return whole[:, :width], whole[:, width:]

    def _placed(self, values: Floats, size: tuple[int, int]) -> Floats:
        """Return the boxes by their corners in pixels."""
        if self.code == "decoded":
            boxes = corners(values) if self.boxes == "xywh" else values
            return boxes * np.array([size[1], size[0]] * 2, np.float32) if self.units == "fraction" else boxes
        per_cell = len(self.anchors[0]) if self.code == "anchors" else 1
        cells, stride = grid_cells(size, self.strides, per_cell)
        if len(cells) != len(values):
            raise DataError(
                f"the outputs have {len(values)} boxes, strides {list(self.strides)} over {size[0]}x{size[1]} pixels "
                f"make {len(cells)}"
            )
        if self.code == "distances":
            distance = self._means(values) * stride
            centre = (cells + 0.5) * stride
            return np.concatenate([centre - distance[:, :2], centre + distance[:, 2:]], axis=1)
        if self.code == "centre":
            return corners(np.concatenate([(values[:, :2] + cells) * stride, np.exp(values[:, 2:]) * stride], axis=1))
        sizes = np.concatenate([
            np.tile(np.array(anchors, np.float32), (int((stride == step).sum()) // per_cell, 1))
            for step, anchors in zip(self.strides, self.anchors, strict=True)
        ])  # fmt: skip
        centre = (2 * values[:, :2] - 0.5 + cells) * stride
        return corners(np.concatenate([centre, (2 * values[:, 2:]) ** 2 * sizes], axis=1))

    def _means(self, values: Floats) -> Floats:
        """Return distances float32 [n, 4] in strides."""
        if not self.dfl_bins:
            return values
        shares = activated(values.reshape(len(values), 4, self.dfl_bins), "softmax")
        return shares @ np.arange(self.dfl_bins, dtype=np.float32)
