"""The decodings that a card can name: a graph's real outputs to detections. NumPy only.

Each is a value with the names of the outputs that it reads; its fields are the keys of the card's ``[decoding]``.
Each has ``decode(outputs, size, classes)``: the outputs by name, float32 with a batch of 1, height and width
of the network's input, and the number of classes; it raises `DataError` where the outputs do not fit.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.card.anchors import Anchors
from models.card.candidates import (
    Activation,
    Candidates,
    Floats,
    activated,
    corners,
    detections,
    picked,
    rows,
    tensor,
)
from models.card.yolo import Yolo
from models.errors import DataError
from models.heads import DecodePolicy, Detections, decode, output_strides

__all__ = [
    "DECODINGS", "Classifier", "Decoding", "DetectionPostprocess", "Detr", "Grid", "PythonDecoding", "Raw", "Ssd",
    "Yolo",
]  # fmt: skip

Size = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The project's own heads: ``cls_S``, ``box_S``, ``kin_S`` for each stride (`models.heads`).

    Attributes:
        score: lowest score that a detection has.
        iou: overlap over which the weaker of two boxes of one class is dropped.
        limit: most detections of a frame.
    """

    score: float = 0.05
    iou: float = 0.5
    limit: int = 100

    def decode(self, outputs: Mapping[str, Floats], size: Size, classes: int) -> Detections:
        """Decode one frame; see the module."""
        del size
        try:
            strides = output_strides(tuple(outputs))
        except ValueError as error:
            raise DataError(f"not the outputs of a grid: {error}") from error
        channels = {outputs[f"cls_{stride}"].shape[-1] for stride in strides}
        if channels != {classes}:
            raise DataError(f"the grid has {sorted(channels)} class channels, the card {classes} classes")
        return decode(outputs, DecodePolicy(self.score, self.iou, self.limit))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ssd:
    """Box offsets from anchors (Liu et al., SSD, 2016, section 2.2) and a score for each anchor and class.

    Attributes:
        boxes: output [1, anchors, 4].
        scores: output [1, anchors, classes], with one more for a background.
        anchors: the anchors, in the outputs' order.
        activation: what makes scores of the outputs.
        background: where the background stands among the classes.
        order: the offsets' order.
        variances: factors of the offsets of centre x, centre y, width and height.
        score: lowest score that a detection has.
        iou: overlap over which the weaker of two boxes of one class is dropped.
        limit: most detections of a frame.
    """

    boxes: str
    scores: str
    anchors: Anchors
    activation: Activation = "sigmoid"
    background: Literal["first", "last", "none"] = "first"
    order: Literal["yxhw", "xywh"] = "yxhw"
    variances: tuple[float, float, float, float] = (0.1, 0.1, 0.2, 0.2)
    score: float = 0.05
    iou: float = 0.5
    limit: int = 100

    def decode(self, outputs: Mapping[str, Floats], size: Size, classes: int) -> Detections:
        """Decode one frame; see the module."""
        offsets = rows(tensor(outputs, self.boxes), 4, self.boxes)
        scores = _foreground(outputs, self.scores, classes, self.activation, self.background)
        anchors = self.anchors.boxes(size)
        if not len(anchors) == len(offsets) == len(scores):
            raise DataError(f"{len(anchors)} anchors, {len(offsets)} boxes and {len(scores)} rows of scores: not alike")
        offsets = offsets[:, [1, 0, 3, 2]] if self.order == "yxhw" else offsets
        offsets = offsets * np.array(self.variances, np.float32)
        centre = anchors[:, :2] + offsets[:, :2] * anchors[:, 2:]
        boxes = corners(np.concatenate([centre, anchors[:, 2:] * np.exp(offsets[:, 2:])], axis=1))
        policy = DecodePolicy(self.score, self.iou, self.limit)
        return detections(picked(boxes, scores, self.score), policy, overlapping=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Detr:
    """One box for each query, matched to objects in training, so that none is suppressed (Carion et al., DETR, 2020).

    Attributes:
        logits: output [1, queries, classes], with one more where there is "no object".
        boxes: output [1, queries, 4]: centre x, centre y, width, height as fractions of the input.
        activation: what makes scores of the logits.
        background: where "no object" stands among the classes.
        score: lowest score that a detection has.
        limit: most detections of a frame.
    """

    logits: str
    boxes: str
    activation: Activation = "softmax"
    background: Literal["first", "last", "none"] = "last"
    score: float = 0.05
    limit: int = 100

    def decode(self, outputs: Mapping[str, Floats], size: Size, classes: int) -> Detections:
        """Decode one frame; see the module."""
        scores = _foreground(outputs, self.logits, classes, self.activation, self.background)
        boxes = rows(tensor(outputs, self.boxes), 4, self.boxes)
        if len(boxes) != len(scores):
            raise DataError(f"{len(boxes)} boxes and {len(scores)} rows of logits: not alike")
        boxes = corners(boxes) * np.array([size[1], size[0]] * 2, np.float32)
        policy = DecodePolicy(self.score, 1.0, self.limit)
        return detections(picked(boxes, scores, self.score), policy, overlapping=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionPostprocess:
    """The outputs of TFLite's operation ``TFLite_Detection_PostProcess``, whose boxes are suppressed already.

    Attributes:
        boxes: output [1, n, 4]: y0, x0, y1, x1 as fractions of the input.
        classes: output [1, n]: the class's index.
        scores: output [1, n].
        count: output [1]: how many of the n are detections.
        first_class: the index that stands for the card's first class.
        score: lowest score that a detection has.
        limit: most detections of a frame.
    """

    boxes: str
    classes: str
    scores: str
    count: str
    first_class: int = 0
    score: float = 0.05
    limit: int = 100

    def decode(self, outputs: Mapping[str, Floats], size: Size, classes: int) -> Detections:
        """Decode one frame; see the module."""
        count = int(np.asarray(outputs[self.count]).ravel()[0]) if self.count in outputs else 0
        boxes = rows(tensor(outputs, self.boxes), 4, self.boxes)[:count]
        boxes = boxes[:, [1, 0, 3, 2]] * np.array([size[1], size[0]] * 2, np.float32)
        scores = tensor(outputs, self.scores).ravel()[:count]
        labels = np.rint(tensor(outputs, self.classes).ravel()[:count]).astype(np.int64) - self.first_class
        kept = (scores >= self.score) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        found = Candidates(boxes[kept], scores[kept], labels[kept])
        if len(found.classes) and not (found.classes.min() >= 0 and found.classes.max() < classes):
            raise DataError(f"output {self.classes!r} names class {found.classes.max()}; the card has {classes}")
        return detections(found, DecodePolicy(self.score, 1.0, self.limit), overlapping=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """One class for the whole frame: a detection of the whole input.

    Attributes:
        scores: output [1, classes].
        activation: what makes scores of the outputs.
    """

    scores: str
    activation: Activation = "softmax"

    def decode(self, outputs: Mapping[str, Floats], size: Size, classes: int) -> Detections:
        """Decode one frame; see the module."""
        values = tensor(outputs, self.scores).ravel()
        if len(values) != classes:
            raise DataError(f"output {self.scores!r} has {len(values)} scores; the card has {classes} classes")
        scores = activated(values[None], self.activation)[0]
        best = np.array([int(scores.argmax())], np.int64)
        unknown = np.full(1, np.nan, np.float32)
        whole = np.array([[0, 0, size[1], size[0]]], np.float32)
        return Detections(whole, scores[best], best, unknown, unknown)


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """Outputs that nobody decodes here; a graph is judged by how near they are to those of its float graph."""

    def decode(self, outputs: Mapping[str, Floats], size: Size, classes: int) -> Detections:
        """Return no detection."""
        del outputs, size, classes
        nothing = np.zeros(0, np.float32)
        return Detections(np.zeros((0, 4), np.float32), nothing, np.zeros(0, np.int64), nothing, nothing)


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonDecoding:
    """A function of the user's: ``function(outputs, size, classes)`` returns `Detections` in pixels of the input.

    Attributes:
        python: ``package.module:function``.
    """

    python: str

    def decode(self, outputs: Mapping[str, Floats], size: Size, classes: int) -> Detections:
        """Decode one frame; see the module."""
        module, _, name = self.python.partition(":")
        try:
            function = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise DataError(
                f"the decoding {self.python!r} cannot be imported: {error}; give package.module:function"
            ) from error
        try:
            found = function(outputs, size, classes)
        except Exception as error:
            raise DataError(f"the decoding {self.python!r} failed: {type(error).__name__} {error}") from error
        if not isinstance(found, Detections):
            raise DataError(
                f"the decoding {self.python!r} returned {type(found).__name__}, not models.heads.Detections"
            )
        return found


Decoding = Grid | Ssd | Yolo | Detr | DetectionPostprocess | Classifier | Raw | PythonDecoding

DECODINGS: Mapping[str, type[Decoding]] = {
    "grid": Grid, "ssd": Ssd, "yolo": Yolo, "detr": Detr, "detection_postprocess": DetectionPostprocess,
    "classifier": Classifier, "raw": Raw, "python": PythonDecoding,
}  # fmt: skip
"""By the ``type`` that a card names."""


def _foreground(
    outputs: Mapping[str, Floats], name: str, classes: int, activation: Activation, background: str
) -> Floats:
    """Return the scores of the classes without the background, float32 [n, classes]."""
    extra = background != "none"
    scores = activated(rows(tensor(outputs, name), classes + extra, name), activation)
    return scores[:, 1:] if background == "first" else scores[:, :classes]
