"""Cross-layer equalization: giving the channels between two convolutions ranges that one scale suits.

For ``y = W2 f(W1 x + b1)`` with f linear or ReLU, dividing channel i of W1 and b1 by s and multiplying the weights that
read it by s changes nothing in float. ``s = sqrt(r1 / r2)``, r the largest weights on either side, makes both equal
(Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias Correction", ICCV 2019, section 4.1).
Weights have a scale for each output channel here, so what gains is the activation between the two, which has one scale
in all, and the kernels of the second. ReLU6 clips at a constant and does not commute with s: networks built of it
have no such pair and come back as they were; so do convolutions that share weights or bias with others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph, GraphOp
from models.quant import editing
from models.quant.fitting import fit_for_quantizing

__all__ = ["equalize"]

_CONVOLUTIONS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D"})
_ROUNDS = 20
_ENOUGH = 1e-3
# In all rounds together: what needs more has a dead channel, which only drives weights out of what grids can hold.
_LARGEST = 2.0**10


@dataclass(frozen=True, slots=True)
class _Side:
    """Weights and bias of one convolution; arrays are changed in place, kernels [out, h, w, in] or [1, h, w, out]."""

    op: GraphOp
    kernel: NDArray[np.float32]
    bias: NDArray[np.float32] | None

    @property
    def channels(self) -> int:
        """Number of output channels."""
        return self.kernel.shape[-1] if self.depthwise else self.kernel.shape[0]

    @property
    def depthwise(self) -> bool:
        return self.op.op == "DEPTHWISE_CONV_2D"


def equalize(float_tflite: bytes) -> bytes:
    """Return an equal float graph with equalized pairs; the same bytes if it has none.

    Args:
        float_tflite: the float graph.
    """
    data = fit_for_quantizing(float_tflite)
    graph, model = Graph.parse(data), editing.read_model(data)
    sides: dict[int, _Side] = {}
    pairs = [
        (sides.setdefault(first.index, _side(model, first)), sides.setdefault(second.index, _side(model, second)))
        for first, second in _pairs(graph, model)
    ]
    if not pairs:
        return float_tflite
    applied = {first.op.index: np.ones(first.channels) for first, _ in pairs}
    for _ in range(_ROUNDS):
        if max(_balance(first, second, applied[first.op.index]) for first, second in pairs) < _ENOUGH:
            break
    for side in sides.values():
        for index, values in zip(side.op.inputs[1:], (side.kernel, side.bias), strict=False):
            if values is not None:
                model.subgraphs[0].tensors[index].buffer = editing.add_constant(model, values)
    return editing.write_model(model)


def _pairs(graph: Graph, model: Any) -> list[tuple[GraphOp, GraphOp]]:
    """Return the convolutions whose output, linear or after ReLU, is read by one other convolution and nothing else."""
    readers: dict[int, list[GraphOp]] = {}
    for op in graph.ops:
        for index in op.inputs:
            readers.setdefault(index, []).append(op)
    leaving = {tensor.index for tensor in graph.outputs}
    owned = [op for op in graph.ops if _owns_floats(op, graph, readers)]
    found = []
    for first in owned:
        after = readers.get(first.outputs[0], [])
        scalable = first.outputs[0] not in leaving and _commutes(model, first)
        if scalable and len(after) == 1 and after[0] in owned and after[0].inputs[0] == first.outputs[0]:
            found.append((first, after[0]))
    return found


def _owns_floats(op: GraphOp, graph: Graph, readers: dict[int, list[GraphOp]]) -> bool:
    """Tell whether a convolution's weights and bias are 32-bit constants that no other operation reads."""
    constants = [index for index in op.inputs[1:] if index >= 0]
    return op.op in _CONVOLUTIONS and all(
        graph.tensors[i].constant and graph.tensors[i].dtype == "float32" and len(readers[i]) == 1 for i in constants
    )


def _commutes(model: Any, op: GraphOp) -> bool:
    from ai_edge_litert import schema_py_generated as schema

    activation = model.subgraphs[0].operators[op.index].builtinOptions.fusedActivationFunction
    return activation in (schema.ActivationFunctionType.NONE, schema.ActivationFunctionType.RELU)


def _side(model: Any, op: GraphOp) -> _Side:
    def values(index: int) -> NDArray[np.float32]:
        tensor = model.subgraphs[0].tensors[index]
        found = np.frombuffer(bytes(model.buffers[tensor.buffer].data), np.float32)
        return found.reshape(tensor.shape).copy()

    bias = values(op.inputs[2]) if len(op.inputs) > 2 and op.inputs[2] >= 0 else None
    return _Side(op, values(op.inputs[1]), bias)


def _balance(first: _Side, second: _Side, applied: NDArray[np.float64]) -> float:
    """Equalize one pair; returns the largest ``|log s|``, 0 once nothing is left to do.

    Args:
        first: what writes the channels.
        second: what reads them.
        applied: float64 [channels], product of the scales of earlier rounds; updated.
    """
    written = np.abs(first.kernel).max((0, 1, 2) if first.depthwise else (1, 2, 3))
    channels = written.size
    if second.depthwise:  # each channel has its multiplier's worth of kernels
        read = np.abs(second.kernel).max((0, 1, 2)).reshape(channels, -1).max(1)
    else:
        read = np.abs(second.kernel).max((0, 1, 2))
    alive = (written > 0) & (read > 0)
    scale = np.ones(channels, np.float32)
    wanted = np.sqrt(written[alive].astype(np.float64) / read[alive]) * applied[alive]
    scale[alive] = np.clip(wanted, 1 / _LARGEST, _LARGEST) / applied[alive]
    applied *= scale
    first.kernel[...] /= scale if first.depthwise else scale[:, None, None, None]
    if first.bias is not None:
        first.bias[...] /= scale
    second.kernel[...] *= np.repeat(scale, second.kernel.shape[-1] // channels) if second.depthwise else scale
    return float(np.abs(np.log(scale)).max())
