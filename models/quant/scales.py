"""The scales of a graph before it is written: those that ranges give, kept inside what kernels accept.

Owns the walk over the operations; the arithmetic is that of `models.quant.grid`. What is widened here is widened by
less than a step of what it would have been, or is an activation so small that its own noise is larger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph, GraphOp
from models.quant import editing, grid
from models.quant.plan import Precision
from models.quant.ranges import FIXED, TensorRange

__all__ = ["WEIGHTED", "ScaleFitter", "Scales", "Weighted", "fit_scales"]


@dataclass(frozen=True, slots=True)
class Weighted:
    """Where an operation with weights keeps what: positions among its inputs, and the axis of output channels."""

    source: int
    weights: int
    bias: int
    channel_axis: int


WEIGHTED: Mapping[str, Weighted] = {
    "CONV_2D": Weighted(0, 1, 2, 0),
    "DEPTHWISE_CONV_2D": Weighted(0, 1, 2, 3),
    "FULLY_CONNECTED": Weighted(0, 1, 2, 0),
    "TRANSPOSE_CONV": Weighted(2, 1, 3, 0),
}
"""Operations with a scale for each output channel of their weights."""

_PRODUCTS = frozenset({"MUL", "BATCH_MATMUL"})
_SUMS = frozenset({"ADD", "SUB"})
# ADD and SUB bring both inputs to one scale, left-shifted by 20 bits (INT8) or 15 (INT16); an output finer than
# that ends the process ("double_multiplier < 1" in quantization_util.cc).
_SUM_RATIO = {Precision.INT8: 2.0**18, Precision.INT16: 2.0**13}


@dataclass(frozen=True)
class Scales:
    """What the quantizer is given.

    Attributes:
        spans: (low, high) of each activation's grid, by tensor name.
        weights: largest magnitude that each channel's grid reaches, float64 with the kernel's rank, by tensor name.
    """

    spans: Mapping[str, tuple[float, float]]
    weights: Mapping[str, NDArray[np.float64]]


def fit_scales(
    float_tflite: bytes, graph: Graph, precisions: Mapping[int, Precision], ranges: Mapping[str, TensorRange]
) -> Scales:
    """Return grids that every kernel accepts.

    Args:
        float_tflite: the float graph, made fit.
        graph: its view.
        precisions: of each operation by its index.
        ranges: a checked range for every float activation.
    """
    return ScaleFitter(float_tflite, graph).fit(precisions, ranges)


class ScaleFitter:
    """Fits the scales of one graph, for any number of plans."""

    def __init__(self, float_tflite: bytes, graph: Graph) -> None:
        """Read the constants of ``float_tflite``, made fit; ``graph`` is its view."""
        self._graph, self._constants = graph, _Constants(float_tflite)

    def fit(self, precisions: Mapping[int, Precision], ranges: Mapping[str, TensorRange]) -> Scales:
        """See `fit_scales`."""
        walk = _Walk(self._graph, self._constants, _spans(self._graph, precisions, ranges))
        for op in self._graph.ops:
            if precisions[op.index].integer:
                walk.visit(op, precisions[op.index])
        return Scales(walk.spans, walk.weights)


class _Constants:
    """What the walk asks of constants, each worked out once."""

    def __init__(self, float_tflite: bytes) -> None:
        self._values = editing.float_constants(float_tflite)
        self._largest: dict[int, float] = {}
        self._bounds: dict[int, NDArray[np.float64]] = {}

    def values(self, index: int) -> NDArray[np.float32]:
        """Return a constant's values."""
        return self._values[index]

    def largest(self, index: int) -> float:
        """Return a constant's largest magnitude."""
        if index not in self._largest:
            self._largest[index] = float(np.abs(self.values(index)).max(initial=0.0))
        return self._largest[index]

    def bounds(self, index: int, channel_axis: int) -> NDArray[np.float64]:
        """Return the largest magnitude of each output channel of weights."""
        if index not in self._bounds:
            self._bounds[index] = grid.weight_bounds(self.values(index), channel_axis)
        return self._bounds[index]


def _spans(
    graph: Graph, precisions: Mapping[int, Precision], ranges: Mapping[str, TensorRange]
) -> dict[str, tuple[float, float]]:
    """Return the ends of each activation: all that was seen where it is INT16, since clipping gains nothing there."""
    given = {tensor.index for tensor in graph.inputs}
    wide = {
        graph.tensors[index].name
        for op in graph.ops
        if precisions[op.index] is Precision.INT16
        for index in (*op.outputs, *(i for i in op.inputs if i in given))
    }
    return {
        name: (span.full_low, span.full_high) if name in wide else (span.low, span.high)
        for name, span in ranges.items()
    }


class _Walk:
    """Visits operations in execution order: what one widens, those after it read."""

    def __init__(self, graph: Graph, constants: _Constants, spans: dict[str, tuple[float, float]]) -> None:
        self._graph, self._constants = graph, constants
        self.spans = spans
        self.weights: dict[str, NDArray[np.float64]] = {}

    def visit(self, op: GraphOp, precision: Precision) -> None:
        place = WEIGHTED.get(op.op)
        if place is not None and self._graph.tensors[op.inputs[place.weights]].constant:
            self._weighted(op, place, precision)
            return
        if self._scale(op.outputs[0], precision) is None:
            return
        scales = [s for s in (self._scale(index, precision) for index in op.inputs) if s is not None]
        if op.op in _PRODUCTS and len(scales) == 2:
            self._widen(op, scales[0] * scales[1] / grid.LARGEST_RATIO, precision)
        elif op.op in _SUMS and len(scales) == 2:
            self._widen(op, 2 * max(scales) / _SUM_RATIO[precision], precision)
            self._avoid_powers_of_two(op, scales, precision)
        elif scales:
            self._widen(op, max(scales) / grid.LARGEST_RATIO, precision)

    def _weighted(self, op: GraphOp, place: Weighted, precision: Precision) -> None:
        tensor = self._graph.tensors[op.inputs[place.weights]]
        input_scale = self._scale(op.inputs[place.source], precision)
        if tensor.dtype != "float32" or input_scale is None:
            return
        scale = self._constants.bounds(tensor.index, place.channel_axis) / grid.WEIGHT_STEPS
        shape = scale.shape
        channels = scale.ravel()
        bias = op.inputs[place.bias] if place.bias < len(op.inputs) else -1
        if bias >= 0 and self._graph.tensors[bias].constant and self._graph.tensors[bias].dtype == "float32":
            channels = np.maximum(channels, grid.bias_floor(self._constants.values(bias).ravel(), input_scale))
        self._widen(op, input_scale * float(channels.max()) / grid.LARGEST_RATIO, precision)
        output_scale = self._scale(op.outputs[0], precision)
        if output_scale is not None:
            channels = np.maximum(channels, grid.ratio_floor(input_scale, output_scale))
        channels = np.maximum(channels, grid.SMALLEST_SCALE / min(input_scale, 1.0))
        self.weights[tensor.name] = (channels * grid.WEIGHT_STEPS).reshape(shape)

    def _scale(self, index: int, precision: Precision) -> float | None:
        """Return the scale that a tensor has where ``precision`` reads it; None if it has none."""
        if index < 0 or self._graph.tensors[index].dtype != "float32":
            return None
        tensor = self._graph.tensors[index]
        if tensor.constant:
            return max(self._constants.largest(index), 1e-9) / (32767 if precision is Precision.INT16 else 127)
        if tensor.name not in self.spans:
            return None
        return grid.activation_grid(*self.spans[tensor.name], precision).scale

    def _widen(self, op: GraphOp, smallest: float, precision: Precision) -> None:
        """Make the scale of an operation's output at least ``smallest``."""
        scale = self._scale(op.outputs[0], precision)
        if scale is not None and scale < smallest and op.op not in FIXED:
            self._stretch(op.outputs[0], smallest / scale)

    def _stretch(self, index: int, factor: float) -> None:
        name = self._graph.tensors[index].name
        low, high = self.spans[name]
        self.spans[name] = (low * factor, high * factor)

    def _avoid_powers_of_two(self, op: GraphOp, scales: list[float], precision: Precision) -> None:
        """Keep 16-bit ADD and SUB off the path for powers of two, which refuses what it cannot align exactly."""
        output = self._scale(op.outputs[0], precision)
        if precision is Precision.INT16 and output is not None and all(map(grid.power_of_two, [*scales, output])):
            self._stretch(op.outputs[0], 1.005)
