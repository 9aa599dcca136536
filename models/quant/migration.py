"""Scale migration: taking what makes a few channels large out of an activation and into the weights that read it.

After LayerNorm some channels are tens of times larger than the others, and one scale must serve them all. For
``y = W (g * x + b)`` dividing g and b of channel j by s and multiplying column j of W by s changes nothing in float;
``s_j = max|x_j|^(1/2) / max|W_j|^(1/2)`` leaves half of the spread on either side (Xiao et al. 2023, "SmoothQuant",
equation 4, alpha 1/2). Weights have a scale for each output channel, not for each input: what they take up costs less
than what the activation loses. Only gains and offsets that nothing but such layers read are changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.device.graph import GraphOp
from models.captures import CaptureSet
from models.quant import editing
from models.quant.activation_tap import Probe
from models.quant.feeds import Sample, evenly, samples_of
from models.quant.fitting import fit_for_quantizing
from models.quant.simulation.node import nodes_of

__all__ = ["migrate"]

_ALPHA = 0.5
_LARGEST = 2.0**10
# Channels that differ by less than this, largest over median, are left as they are.
_UNEVEN = 3.0
_READERS = ("CONV_2D", "FULLY_CONNECTED")  # they sum over channels, the last axis of their weights


@dataclass(frozen=True, slots=True)
class _Site:
    """An activation that is scaled and perhaps moved by constants, and the layers that read it.

    Attributes:
        tensor: the activation.
        constants: gain and offset, by tensor.
        readers: all operations that read it.
    """

    tensor: int
    constants: tuple[int, ...]
    readers: tuple[GraphOp, ...]


def migrate(float_tflite: bytes, captures: CaptureSet | Sequence[Sample], *, limit: int = 32) -> bytes:
    """Return an equal float graph whose activations after LayerNorm are more even; the same bytes if it has none.

    Args:
        float_tflite: the float graph.
        captures: what to measure channels on; at most ``limit`` of them, evenly spread.
        limit: most samples.

    Raises:
        DataError: the samples do not fit.
    """
    data = fit_for_quantizing(float_tflite)
    graph = _Graph(data)
    sites, constants = graph.sites(), graph.constants
    if not sites:
        return float_tflite
    largest = _largest(data, {site.tensor for site in sites}, captures, limit)
    model, changed = editing.read_model(data), False
    for site in sites:
        scale = _scale(site, largest[site.tensor], constants)
        if scale is None:
            continue
        changed = True
        for index in site.constants:
            _store(model, index, (constants[index].ravel() / scale).reshape(constants[index].shape))
        for op in site.readers:
            _store(model, op.inputs[1], constants[op.inputs[1]] * scale)  # input channels are the last axis
    return editing.write_model(model) if changed else float_tflite


class _Graph:
    """A graph as the search for sites needs it."""

    def __init__(self, data: bytes) -> None:
        self.view, self.nodes = nodes_of(data)
        self.constants = editing.float_constants(data)
        self._made = {index: node for node in self.nodes for index in node.op.outputs}
        self._readers: dict[int, list[GraphOp]] = {}
        for node in self.nodes:
            for index in node.op.inputs:
                self._readers.setdefault(index, []).append(node.op)
        self._leaving = {tensor.index for tensor in self.view.outputs}

    def sites(self) -> list[_Site]:
        """Return the activations that can be scaled."""
        found = []
        for tensor, after in self._readers.items():
            if tensor not in self._made or not all(self._sums(op, tensor) for op in after):
                continue
            held = self._scaling(tensor)
            weights = [op.inputs[1] for op in after]
            if held and all(len(self._readers[index]) == 1 for index in (*held, *weights)):
                found.append(_Site(tensor, held, tuple(after)))
        return found

    def _sums(self, op: GraphOp, tensor: int) -> bool:
        """Tell whether a layer reads a tensor as its input and sums over the tensor's last axis."""
        if op.op not in _READERS or op.inputs[0] != tensor or op.inputs[1] not in self.constants:
            return False
        return self.constants[op.inputs[1]].shape[-1] == self.view.tensors[tensor].shape[-1]

    def _scaling(self, tensor: int) -> tuple[int, ...]:
        """Return the constants that scale the channels of a tensor: a gain, and an offset after it; none if unknown."""
        node = self._made.get(tensor)
        if node is None or tensor in self._leaving or node.kind not in ("ADD", "MUL") or node.activation:
            return ()
        channels = self.view.tensors[tensor].shape[-1]
        held = [i for i in node.op.inputs if i in self.constants and self.constants[i].size == channels]
        if len(held) != 1 or node.kind == "MUL":
            return tuple(held) if len(held) == 1 else ()
        (source,) = (index for index in node.op.inputs if index != held[0])
        gain = (
            self._scaling(source)
            if len(self._readers[source]) == 1 and source in self._made and self._made[source].kind == "MUL"
            else ()
        )
        return (*gain, held[0]) if gain else ()


def _largest(
    data: bytes, tensors: set[int], captures: CaptureSet | Sequence[Sample], limit: int
) -> dict[int, NDArray[np.float64]]:
    """Return the largest magnitude of each channel."""
    probe = Probe(data)
    found: dict[int, NDArray[np.float64]] = {}
    for sample in evenly(samples_of(captures, probe.graph), limit):
        for tensor, value in probe.run(sample.feed):
            if tensor.index in tensors:
                seen = np.abs(value.reshape(-1, value.shape[-1])).max(0).astype(np.float64)
                found[tensor.index] = np.maximum(found.get(tensor.index, seen), seen)
    return found


def _scale(site: _Site, largest: NDArray[np.float64], constants: Any) -> NDArray[np.float32] | None:
    """Return what each channel is divided by; None where channels are even."""
    if largest.max() < _UNEVEN * np.median(largest):
        return None
    columns = [np.abs(constants[op.inputs[1]]).reshape(-1, largest.size).max(0) for op in site.readers]
    read = np.max(columns, axis=0)
    alive = (largest > 0) & (read > 0)
    scale = np.ones(largest.size)
    scale[alive] = np.clip(largest[alive] ** _ALPHA / read[alive] ** (1 - _ALPHA), 1 / _LARGEST, _LARGEST)
    scale[alive] /= np.exp(np.log(scale[alive]).mean())  # the activation keeps its size
    return scale.astype(np.float32)


def _store(model: Any, index: int, value: NDArray[Any]) -> None:
    tensor = model.subgraphs[0].tensors[index]
    tensor.shape = list(value.shape)
    tensor.buffer = editing.add_constant(model, value.astype(np.float32))
