"""Running a graph over captures, from frames to detections, on host and board alike.

Uses only the interface of a session, so a board at the end of a cable works like a local runtime.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph
from firmware_bridge.device.runtime import Session
from models.captures import CLASSES, CaptureSet
from models.card.card import ModelCard
from models.card.feed import check_bands, graph_inputs, unit_values
from models.errors import DataError
from models.heads import INPUT_EO, INPUT_LWIR, DecodePolicy, Detections, decode
from models.progress import Count

__all__ = ["card_of", "dequantize_outputs", "input_size", "predict", "quantize_inputs"]

_CHANNELS = {INPUT_EO: 3, INPUT_LWIR: 1}


def predict(
    session: Session,
    captures: CaptureSet,
    progress: Count | None = None,
    policy: DecodePolicy | None = None,
    card: ModelCard | None = None,
) -> list[Detections]:
    """Run every capture; boxes are in pixels of the captures' frames.

    Args:
        session: the loaded graph.
        captures: the captures to run on.
        progress: called with (captures done, captures in all).
        policy: thresholds of the decoding of `models.heads`, in place of the card's.
        card: of the graph; that of `models.heads` if None.

    Raises:
        DataError: the graph is not that of the card, the captures lack the bands that it looks at, or an output is not
            a number.
    """
    card = card or card_of(session.graph)
    card.check(session.graph)
    check_bands(card, captures)
    found = []
    for index in range(len(captures)):
        inputs, transform = graph_inputs(card, session.graph, captures, index)
        outputs = dequantize_outputs(session.graph, session.run(inputs))
        for name, values in outputs.items():
            if not np.isfinite(values).all():
                raise DataError(f"output {name} of capture {captures.captures[index].id} is not a number everywhere")
        seen = card.decode(outputs) if policy is None else decode(outputs, policy)
        boxes = transform.to_frame(seen.boxes)
        found.append(Detections(boxes, seen.scores, seen.classes, seen.range_m, seen.velocity_mps))
        if progress is not None:
            progress(index + 1, len(captures))
    return found


def card_of(graph: Graph, classes: tuple[str, ...] = CLASSES) -> ModelCard:
    """Return the card of a graph of the project's own contract, which needs none.

    Raises:
        DataError: it is another graph.
    """
    card = ModelCard.of_grid(graph, classes)
    if card is None:
        shown = ", ".join(f"{tensor.name} {list(tensor.shape)}" for tensor in (*graph.inputs, *graph.outputs))
        raise DataError(f"the graph has {shown}: none of this project's, so it needs a card (ks100 card GRAPH)")
    return card


def input_size(graph: Graph) -> tuple[int, int]:
    """Return height and width of the graph's frames.

    Raises:
        DataError: it has inputs other than ``eo`` and ``lwir``, or they differ in size.
    """
    sizes = {tensor.shape[1:3] for tensor in graph.inputs if len(tensor.shape) == 4}
    known = all(tensor.shape[::3] == (1, _CHANNELS.get(tensor.name)) for tensor in graph.inputs)
    if not known or len(sizes) != 1:
        shown = ", ".join(f"{tensor.name} {list(tensor.shape)}" for tensor in graph.inputs)
        raise DataError(f"the graph takes {shown}; a detector takes eo [1, H, W, 3] and lwir [1, H, W, 1]")
    height, width = sizes.pop()
    return height, width


def quantize_inputs(graph: Graph, eo: NDArray[np.uint8], lwir: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    """Return the graph's inputs for one frame pair.

    Args:
        graph: defines the type and scale of its inputs.
        eo: uint8 [H, W, 3].
        lwir: uint8 [H, W].
    """
    frames = {INPUT_EO: eo, INPUT_LWIR: lwir}
    return {tensor.name: unit_values(tensor, frames[tensor.name].reshape(tensor.shape)) for tensor in graph.inputs}


def dequantize_outputs(graph: Graph, outputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """Return the dequantized outputs, float32: ``(q - zero_point) * scale`` where they are quantized.

    Raises:
        DataError: an output of the graph is missing.
    """
    real = {}
    for tensor in graph.outputs:
        if tensor.name not in outputs:
            raise DataError(f"the graph's output {tensor.name} is missing; there are {', '.join(sorted(outputs))}")
        values = outputs[tensor.name]
        if tensor.scale:
            real[tensor.name] = ((values.astype(np.int64) - tensor.zero_point) * tensor.scale).astype(np.float32)
        else:
            real[tensor.name] = values.astype(np.float32)
    return real
