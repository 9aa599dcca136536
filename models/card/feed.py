"""Frames to a graph's inputs, as its card says: band, size, colour, scaling and layout."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph, GraphTensor
from models.captures import CaptureSet
from models.card.card import CardInput, ModelCard
from models.errors import DataError
from models.preprocess import UNIT_RANGE, FrameTransform, network_frames, to_int8, to_unit

__all__ = ["check_bands", "graph_inputs", "unit_values", "with_classes"]

# The scale of an INT8 input that is exactly the 8-bit frame minus 128; see `models.heads`.
_EXACT_SCALE, _EXACT_ZERO = 1 / 255, -128
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Of red, green and blue (ITU-R BT.601)."""


def graph_inputs(
    card: ModelCard, graph: Graph, captures: CaptureSet, index: int
) -> tuple[dict[str, NDArray[Any]], FrameTransform]:
    """Return the graph's inputs for one capture, and where its frame lies in them."""
    first = card.inputs[0]
    raw_counts = any(item.agc == "none" for item in card.inputs)
    eo, lwir, transform = network_frames(
        captures, index, first.height, first.width, stretch=first.fit == "stretch", gain_control=not raw_counts
    )
    tensors = {tensor.name: tensor for tensor in graph.inputs}
    frames = {"eo": eo, "lwir": lwir}
    return {item.name: _values(item, tensors[item.name], frames[item.band]) for item in card.inputs}, transform


def check_bands(card: ModelCard, captures: CaptureSet) -> None:
    """Check that the captures have a band that the graph looks at.

    Raises:
        DataError: they have none.
    """
    bands = {item.band for item in card.inputs}
    there = {"eo": captures.frames.eo(0) is not None, "lwir": captures.frames.lwir(0) is not None}
    if not any(there[band] for band in bands):
        has = ", ".join(band for band, found in there.items() if found) or "no band"
        raise DataError(
            f"{captures.name} has {has}, the card's inputs show {', '.join(sorted(bands))}; change the card's band, "
            "or give --band"
        )


def with_classes(captures: CaptureSet, card: ModelCard) -> CaptureSet:
    """Return the captures with the card's class names; objects of other classes are to ignore."""
    return captures.with_classes(card.classes) if card.detects else captures


def _values(item: CardInput, tensor: GraphTensor, frame: NDArray[np.uint8]) -> NDArray[Any]:
    pixels = _coloured(item, frame)
    if item.layout == "nchw":
        pixels = np.moveaxis(pixels, -1, 0)
    pixels = np.ascontiguousarray(pixels).reshape(tensor.shape)
    if item.range == UNIT_RANGE and not item.mean and not item.std:
        return unit_values(tensor, pixels)
    low, high = item.range
    real = pixels.astype(np.float32) * np.float32((high - low) / 255) + np.float32(low)
    by_channel = (-1,) if item.layout == "nhwc" else (-1, 1, 1)
    if item.mean:
        real -= np.array(item.mean, np.float32).reshape(by_channel)
    if item.std:
        real /= np.array(item.std, np.float32).reshape(by_channel)
    return tensor.quantize(real) if tensor.scale else real.astype(np.dtype(tensor.dtype))


def unit_values(tensor: GraphTensor, pixels: NDArray[np.uint8]) -> NDArray[Any]:
    """Return pixels of the tensor's shape as an input that takes values in [0, 1], in its type and scale."""
    if not tensor.scale:
        return to_unit(pixels).astype(np.dtype(tensor.dtype))
    if tensor.dtype == "int8" and tensor.zero_point == _EXACT_ZERO and np.isclose(tensor.scale, _EXACT_SCALE):
        return to_int8(pixels)
    limits = np.iinfo(tensor.dtype)
    steps = np.rint(pixels.astype(np.float64) / 255 / tensor.scale) + tensor.zero_point
    return np.asarray(np.clip(steps, limits.min, limits.max), np.dtype(tensor.dtype))


def _coloured(item: CardInput, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the frame uint8 [h, w] or [h, w, 3] with the input's channels, [h, w, c]."""
    if frame.ndim == 2:
        return np.repeat(frame[..., None], item.channels, axis=2)
    if item.colour == "grey":
        return np.asarray(np.rint(frame @ _LUMA), np.uint8)[..., None]
    return frame if item.colour == "rgb" else frame[..., ::-1]
