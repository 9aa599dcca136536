"""A card begun from a graph: sizes and layout as they are, decoding and classes as the shapes of its outputs suggest.

Every guess is said in a line, for a person to confirm. No frame is run.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

from firmware_bridge.device.graph import Graph, GraphTensor
from models.captures import CLASSES
from models.card.anchors import Anchors
from models.card.card import CardInput, ModelCard
from models.card.decodings import Classifier, Decoding, DetectionPostprocess, Detr, Raw, Ssd, Yolo
from models.errors import DataError

__all__ = ["Guess", "guess_card"]

_POSTPROCESS = "CUSTOM(TFLite_Detection_PostProcess)"
_STRIDES = (4, 8, 16, 32, 64, 128)
_DFL_BINS = 16
_SSD_STRIDES = (16, 32, 64, 128, 256, 512)
_MOST_CLASSES = 2000


@dataclass(frozen=True, slots=True)
class Guess:
    """A card, and what was guessed of it, a line each."""

    card: ModelCard
    lines: tuple[str, ...]


def guess_card(data: bytes, classes: Sequence[str] = ()) -> Guess:
    """Begin the card of a .tflite file.

    Args:
        data: its bytes.
        classes: the class names, where they are known.

    Raises:
        InputError: it is no graph.
        DataError: it takes no frames, or has another number of classes.
    """
    graph = Graph.parse(data)
    own = ModelCard.of_grid(graph, tuple(classes) or CLASSES)
    if own is not None:
        return Guess(own, ("decoding: the project's own grid, by the names of the outputs",))
    lines: list[str] = []
    inputs = tuple(_input(tensor, lines) for tensor in graph.inputs)
    names = tuple(classes) or _labels(data, lines)
    decoding, count = _decoding(graph, (inputs[0].height, inputs[0].width), len(names))
    if decoding is None:
        decoding, count = Raw(), 0
        shapes = ", ".join(f"{t.name} {list(t.shape)}" for t in graph.outputs)
        lines.append(f"decoding: raw, because no known head has the outputs {shapes}; name one, or python = ...")
    else:
        lines.append(f"decoding: {_described(decoding)}, by the shapes of the outputs")
    if isinstance(decoding, Raw):
        names = ()
    elif count and names and len(names) != count:
        raise DataError(f"{len(names)} class names were given, the outputs have {count} classes")
    elif not names:
        names = tuple(f"class_{index}" for index in range(count or 1))
        lines.append(f"classes: {len(names)}, without names; write them in the order of the network's outputs")
    card = ModelCard(classes=names, inputs=inputs, decoding=decoding)
    card.check(graph)
    return Guess(card, tuple(lines))


def _input(tensor: GraphTensor, lines: list[str]) -> CardInput:
    channels_last = len(tensor.shape) == 4 and tensor.shape[3] in (1, 3)
    channels_first = len(tensor.shape) == 4 and tensor.shape[1] in (1, 3)
    if not (channels_last or channels_first) or tensor.shape[0] != 1 or min(tensor.shape) < 1:
        raise DataError(
            f"input {tensor.name} is of shape {list(tensor.shape)}: no frame of 1 or 3 channels and a batch of 1"
        )
    height, width, channels = tensor.shape[1:] if channels_last else (*tensor.shape[2:], tensor.shape[1])
    words = tensor.name.lower()
    band = "lwir" if channels == 1 or any(word in words for word in ("lwir", "thermal", "infrared")) else "eo"
    low, high = (0.0, 1.0)
    why = "the usual one of float graphs"
    if tensor.scale:
        why = "by its quantization"
        ends = ((0, 255), (-128, 127))[tensor.dtype == "int8"]
        spread = tensor.scale * 255
        lowest = (ends[0] - tensor.zero_point) * tensor.scale
        near = [
            pair
            for pair in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
            if math.isclose(spread, pair[1] - pair[0], rel_tol=0.05)
        ]
        low, high = near[0] if near else (round(lowest, 6), round(lowest + spread, 6))
    lines.append(f"input {tensor.name}: {band}, {height}x{width}, values {low:g} to {high:g} ({why})")
    return CardInput(
        name=tensor.name, band="lwir" if band == "lwir" else "eo", height=height, width=width,
        colour="grey" if channels == 1 else "rgb", layout="nhwc" if channels_last else "nchw", range=(low, high),
    )  # fmt: skip


def _labels(data: bytes, lines: list[str]) -> tuple[str, ...]:
    """Return the class names that TFLite's metadata packs behind the graph, one a line of a text file."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            texts = [name for name in packed.namelist() if name.endswith(".txt")]
            names = [line.strip() for line in packed.read(texts[0]).decode().splitlines()] if texts else []
    except (zipfile.BadZipFile, OSError, ValueError, RuntimeError):
        return ()
    names = [name for name in names if name]
    if names and len(set(names)) == len(names):
        lines.append(f"classes: {len(names)}, from {texts[0]} in the graph's metadata")
        return tuple(names)
    return ()


def _decoding(graph: Graph, size: tuple[int, int], classes: int) -> tuple[Decoding | None, int]:
    """Return the likely decoding and its number of classes, 0 where the shapes do not tell."""
    outputs = graph.outputs
    if any(op.type.startswith(_POSTPROCESS) for op in graph.ops) and len(outputs) == 4:
        # The operation's own order: boxes, classes, scores, count.
        names = [_by_index(graph, index) for index in _postprocess_outputs(graph)]
        return DetectionPostprocess(boxes=names[0], classes=names[1], scores=names[2], count=names[3]), 0
    shapes = {tensor.name: tensor.shape[1:] for tensor in outputs}
    if len(outputs) == 1:
        (name, shape), *_ = shapes.items()
        if len(shape) == 1 and 2 <= shape[0] <= _MOST_CLASSES:
            softmax_inside = any(op.op == "SOFTMAX" for op in graph.ops[-3:])
            return Classifier(scores=name, activation="none" if softmax_inside else "softmax"), shape[0]
        return _yolo({name: shape}, size, classes)
    if len(outputs) == 2 and all(len(shape) == 2 for shape in shapes.values()):
        boxes = [name for name, shape in shapes.items() if shape[1] == 4]
        others = [name for name in shapes if name not in boxes]
        if len(boxes) == 1 and shapes[boxes[0]][0] == shapes[others[0]][0]:
            count, channels = shapes[others[0]]
            return _anchored(boxes[0], others[0], count, channels, size)
    return _yolo(shapes, size, classes)


def _postprocess_outputs(graph: Graph) -> tuple[int, ...]:
    return next(op.outputs for op in graph.ops if op.type.startswith(_POSTPROCESS))


def _by_index(graph: Graph, index: int) -> str:
    return next((tensor.name for tensor in graph.outputs if tensor.index == index), graph.tensors[index].name)


def _anchored(boxes: str, scores: str, count: int, channels: int, size: tuple[int, int]) -> tuple[Decoding | None, int]:
    """Boxes beside scores, [1, n, 4] and [1, n, c]: of queries where they are few, of anchors where these make n."""
    anchors = Anchors(strides=_SSD_STRIDES)
    if len(anchors.boxes(size)) == count:
        return Ssd(boxes=boxes, scores=scores, anchors=anchors), channels - 1
    strides = _levels(count, size)
    if strides:
        return Yolo(
            outputs=(boxes,), scores=(scores,), code="distances", strides=strides, activation="sigmoid"
        ), channels
    return (Detr(logits=scores, boxes=boxes), channels - 1) if count <= 1000 and channels > 1 else (None, 0)


def _levels(cells: int, size: tuple[int, int]) -> tuple[int, ...]:
    """Return consecutive strides whose levels have so many cells together, or ()."""
    for first in range(len(_STRIDES)):
        for last in range(first + 1, len(_STRIDES) + 1):
            strides = _STRIDES[first:last]
            if sum(math.prod(-(-side // stride) for side in size) for stride in strides) == cells:
                return strides
    return ()


def _yolo(shapes: dict[str, tuple[int, ...]], size: tuple[int, int], classes: int) -> tuple[Decoding | None, int]:
    (name, shape), *_ = shapes.items()
    if len(shapes) == 1 and len(shape) == 2:
        for count, channels in (shape, shape[::-1]):
            strides = _levels(count, size)
            if strides and channels > 4:
                return _channels((name,), strides, channels, classes, raw=False)
            if count % 3 == 0 and _levels(count // 3, size) and channels > 5:
                return Yolo(outputs=(name,), objectness=True, units="fraction"), channels - 5
        return None, 0
    levels = sorted(((_stride(shape, size), name, shape) for name, shape in shapes.items()), key=lambda item: item[0])
    widths = {shape[-1] if s and shape[0] == -(-size[0] // s) else shape[0] for s, _, shape in levels}
    steps = tuple(stride for stride, _, _ in levels)
    if 0 in steps or len(set(steps)) < len(steps) or len(widths) != 1 or min(widths) <= 4:
        return None, 0
    return _channels(tuple(name for _, name, _ in levels), steps, widths.pop(), classes, raw=True)


def _stride(shape: tuple[int, ...], size: tuple[int, int]) -> int:
    """Return the stride of a level [h, w, c] or [c, h, w], or 0."""
    if len(shape) != 3:
        return 0
    grids = (shape[:2], shape[1:])
    return next((s for s in _STRIDES for grid in grids if grid == tuple(-(-side // s) for side in size)), 0)


def _channels(
    names: tuple[str, ...], strides: tuple[int, ...], channels: int, classes: int, *, raw: bool
) -> tuple[Decoding, int]:
    """Boxes and classes in the channels: with DFL where the classes leave more than four of them."""
    box = channels - classes if classes else 4 * _DFL_BINS if raw and channels > 4 * _DFL_BINS else 4
    if box > 4 and box % 4 == 0:
        bins = box // 4
        return Yolo(
            outputs=names, code="distances", strides=strides, dfl_bins=bins, activation="sigmoid"
        ), channels - box
    if raw:
        return Yolo(outputs=names, code="distances", strides=strides, activation="sigmoid"), channels - 4
    return Yolo(outputs=names), channels - 4


def _described(decoding: Decoding) -> str:
    if isinstance(decoding, Yolo):
        how = {"decoded": "boxes decoded in the graph", "distances": "distances from the cells"}.get(decoding.code, "")
        return f"yolo, {how}" + (f", DFL of {decoding.dfl_bins} bins" if decoding.dfl_bins else "")
    return {Ssd: "ssd, with TensorFlow's usual anchors", Detr: "detr"}.get(
        type(decoding), type(decoding).__name__.lower()
    )
