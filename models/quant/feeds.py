"""Inputs for running float and integer graphs side by side, each with the conditions it was taken under.

Owns: turning captures into a graph's inputs, and a feed of floats into one that an integer graph takes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph, GraphTensor
from models import preprocess
from models.captures import CaptureSet
from models.errors import DataError
from models.heads import INPUT_EO, INPUT_LWIR

__all__ = ["CaptureSamples", "Sample", "dequantized", "evenly", "quantized", "samples_digest", "samples_of"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One feed of a float graph.

    Attributes:
        feed: inputs by signature name, of the graph's shapes and types.
        groups: the condition categories it belongs to, e.g. ``thermal=crossover``.
    """

    feed: Mapping[str, NDArray[Any]]
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class CaptureSamples(Sequence[Sample]):
    """The captures of a set as samples for a graph, made when they are needed; each frame is in `UNIT_RANGE`."""

    captures: CaptureSet
    height: int
    width: int
    names: tuple[str, ...]

    def __len__(self) -> int:
        """Return the number of captures."""
        return len(self.captures)

    def __getitem__(self, index: Any) -> Any:
        """Return one sample."""
        if not isinstance(index, int):
            raise TypeError("samples are taken one at a time")
        if not 0 <= index < len(self):
            raise IndexError(index)
        eo, lwir, _ = preprocess.network_frames(self.captures, index, self.height, self.width)
        bands = {INPUT_EO: preprocess.to_unit(eo)[None], INPUT_LWIR: preprocess.to_unit(lwir)[None, ..., None]}
        conditions = self.captures.captures[index].conditions.items
        return Sample(
            {name: bands[name] for name in self.names}, tuple(f"{axis}={category}" for axis, category in conditions)
        )


def samples_of(captures: CaptureSet | Sequence[Sample], graph: Graph) -> Sequence[Sample]:
    """Return samples that fit ``graph``.

    Args:
        captures: a capture set, for a graph with inputs ``eo`` and/or ``lwir``; or samples, which are checked and
            come back in the types of the graph's inputs.
        graph: the float graph.

    Raises:
        DataError: there are none, or they do not fit the graph's inputs, or hold values that are not finite or that
            an input's type cannot hold.
    """
    if len(captures) == 0:
        raise DataError("there are no samples to run the graph on; give at least one")
    if not isinstance(captures, CaptureSet):
        return [_typed(sample, graph) for sample in captures]
    names = tuple(tensor.name for tensor in graph.inputs)
    frames = all(len(tensor.shape) == 4 and tensor.dtype == "float32" for tensor in graph.inputs)
    if not frames or not set(names) <= {INPUT_EO, INPUT_LWIR}:
        raise DataError(f"captures feed the inputs eo and lwir; the graph's are {', '.join(names)}")
    _, height, width, _ = graph.inputs[0].shape
    return CaptureSamples(captures, height, width, names)


def _typed(sample: Sample, graph: Graph) -> Sample:
    """Return a sample with each input in the graph's own type; what is not an input is left out."""
    return Sample(
        {tensor.name: _as_input(sample.feed.get(tensor.name), tensor) for tensor in graph.inputs}, sample.groups
    )


def _as_input(value: NDArray[Any] | None, tensor: GraphTensor) -> NDArray[Any]:
    if value is None or value.shape != tensor.shape:
        found = "missing" if value is None else f"of shape {list(value.shape)}"
        raise DataError(f"a sample's input {tensor.name!r} is {found}; it must be {list(tensor.shape)}")
    if value.dtype == tensor.dtype and value.dtype.kind != "f":
        return value
    if tensor.dtype not in _INPUT_TYPES:
        raise DataError(
            f"the graph's input {tensor.name!r} is {tensor.dtype}, which samples cannot feed; export the graph with a"
            f" float input (supported are {', '.join(sorted(_INPUT_TYPES))})"
        )
    if not np.isfinite(value).all():
        raise DataError(f"a sample's input {tensor.name!r} holds NaN or infinity; remove it")
    with np.errstate(over="ignore"):
        held = value.astype(tensor.dtype)
    if tensor.dtype != "float32" and not np.array_equal(held.astype(np.float64), value.astype(np.float64)):
        raise DataError(
            f"a sample's input {tensor.name!r} holds {value.dtype} values that {tensor.dtype}, the type of this input,"
            f" cannot; write the array as {tensor.dtype}"
        )
    if not np.isfinite(held).all():
        raise DataError(f"a sample's input {tensor.name!r} holds values beyond 32-bit floats; scale it")
    return held


# Types of inputs that samples can have; indices and masks stay what they are, floats are quantized.
_INPUT_TYPES = frozenset({"float32", "int32", "int64", "uint8", "int8", "bool"})


def quantized(feed: Mapping[str, NDArray[Any]], graph: Graph) -> dict[str, NDArray[Any]]:
    """Return a feed of floats as the inputs that ``graph`` takes."""
    return {tensor.name: tensor.quantize(feed[tensor.name]) for tensor in graph.inputs}


def dequantized(outputs: Mapping[str, NDArray[Any]], graph: Graph) -> dict[str, NDArray[np.float32]]:
    """Return the outputs of ``graph`` as floats."""
    return {tensor.name: tensor.dequantize(outputs[tensor.name]) for tensor in graph.outputs}


def evenly(samples: Sequence[Sample], count: int) -> Iterator[Sample]:
    """Yield at most ``count`` samples, spread over all of them."""
    positions: Iterable[int] = np.unique(np.linspace(0, len(samples) - 1, min(count, len(samples))).astype(int))
    for position in positions:
        yield samples[int(position)]


def samples_digest(samples: Sequence[Sample]) -> str:
    """Return the SHA-256 (hex) of what samples feed, in their order."""
    digest = hashlib.sha256()
    for sample in samples:
        for name in sorted(sample.feed):
            digest.update(name.encode() + np.ascontiguousarray(sample.feed[name]).tobytes())
    return digest.hexdigest()
