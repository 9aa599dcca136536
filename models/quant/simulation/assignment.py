"""Which grid each tensor is on when every operation has a precision: the quantizer's rules, without writing a graph.

An integer operation reads each input on the grid of that input's range in its own type, and writes on the grid of its
output's range; but operations that move values write on the grid they read, those that join values read on the grid
they write, and softmax, tanh and the logistic function write where their kernels say. Where a tensor is written on one
grid and read on another, a conversion stands between (QUANTIZE, DEQUANTIZE); it falls away where the writer may write
on its only readers' grid at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph
from models.quant.grid import weight_bounds
from models.quant.plan import Precision
from models.quant.ranges import TensorRange
from models.quant.scales import WEIGHTED, ScaleFitter, Scales
from models.quant.simulation.node import Node
from models.quant.simulation.rounding import Grid

__all__ = ["JOINING", "MOVING", "Assignment", "Grids", "OpGrids", "Resolved"]

Assignment = tuple[Precision, ...]
"""A precision for each operation of the graph."""

MOVING = frozenset(
    {
        "AVERAGE_POOL_2D", "BROADCAST_TO", "DEPTH_TO_SPACE", "EXPAND_DIMS", "GATHER", "GATHER_ND", "MAX_POOL_2D",
        "MIRROR_PAD", "PAD", "REDUCE_MAX", "REDUCE_MIN", "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR",
        "SLICE", "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V", "SQUEEZE", "STRIDED_SLICE", "TILE", "TRANSPOSE", "UNPACK",
    }
)  # fmt: skip
"""Operations that write on the grid of their input."""

JOINING = frozenset({"CONCATENATION", "MAXIMUM", "MINIMUM", "PACK", "PADV2", "SELECT", "SELECT_V2"})
"""Operations that read on the grid of their output."""

_FIXED = {
    ("SOFTMAX", 8): Grid(8, 1 / 256, -128), ("LOGISTIC", 8): Grid(8, 1 / 256, -128), ("TANH", 8): Grid(8, 1 / 128, 0),
    ("SOFTMAX", 16): Grid(16, 1 / 32768), ("LOGISTIC", 16): Grid(16, 1 / 32768), ("TANH", 16): Grid(16, 1 / 32768),
}  # fmt: skip

_Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class OpGrids:
    """The grids of one operation.

    Attributes:
        reads: of each computed input, in the order of `Node.moving`; None for a float or a tensor of indices.
        constants: of constant inputs that have one, by position.
        out: of its outputs, None if they are float.
        bounds: largest magnitude of each output channel's weights where that is more than what they have.
    """

    reads: tuple[Grid | None, ...]
    constants: tuple[tuple[int, Grid], ...]
    out: Grid | None
    bounds: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Resolved:
    """The grids of a graph under an assignment.

    Attributes:
        ops: of each operation.
        inputs: of each integer input, by tensor; the others are float.
    """

    ops: tuple[OpGrids, ...]
    inputs: Mapping[int, Grid]


class Grids:
    """Follows the grids through a graph."""

    def __init__(
        self, float_tflite: bytes, graph: Graph, nodes: Sequence[Node], ranges: Mapping[str, TensorRange]
    ) -> None:
        """Prepare the ranges.

        Args:
            float_tflite: the float graph, made fit.
            graph: its view.
            nodes: its operations.
            ranges: a checked range of each float activation, by tensor name.
        """
        self._graph, self._nodes, self._ranges = graph, nodes, ranges
        self._fitter = ScaleFitter(float_tflite, graph)
        self._spans: dict[int, _Span] = {}
        self._roots: dict[int, int] = {}
        self._fixed: frozenset[int] | None = None
        self._scales = Scales({}, {})
        self._own_bounds: dict[int, NDArray[np.float64]] = {}
        self._grids: dict[tuple[_Span, Precision, int | None], Grid] = {}
        self._leaving = {tensor.index for tensor in graph.outputs}

    @cached_property
    def _readers(self) -> dict[int, list[tuple[int, int]]]:
        found: dict[int, list[tuple[int, int]]] = {}
        for number, node in enumerate(self._nodes):
            for place, index in enumerate(node.moving):
                found.setdefault(index, []).append((number, place))
        return found

    def resolve(self, assignment: Assignment, *, trained: bool = False) -> Resolved:
        """Return the grids under an assignment.

        Args:
            assignment: the precision of each operation.
            trained: whether grids name the tensor of whose range they are, where that range can be trained: one of
                INT8, which is neither an input's (the frames decide it) nor fixed by a kernel.
        """
        self._scales = self._fitter.fit(dict(enumerate(assignment)), self._ranges)
        self._spans, self._roots = {}, {}
        self._fixed = self._untrained(assignment) if trained else None
        found = [self._op(node, precision) for node, precision in zip(self._nodes, assignment, strict=True)]
        for number, node in enumerate(self._nodes):
            out = found[number].out
            if out is None or len(node.op.outputs) != 1 or self._constrained(node.kind):
                continue
            wanted = self._only_reading(node.op.outputs[0], found)
            if wanted is not None and wanted != out and wanted.bits == out.bits:
                found[number] = replace(found[number], out=wanted)
        return Resolved(tuple(found), self._inputs(found))

    def _untrained(self, assignment: Assignment) -> frozenset[int]:
        fixed = {tensor.index for tensor in self._graph.inputs}
        for node, precision in zip(self._nodes, assignment, strict=True):
            if precision is Precision.INT16 or (node.kind, 8) in _FIXED:
                fixed |= set(node.op.outputs)
        return frozenset(fixed)

    def owner(self, tensor: int) -> int:
        """Return the tensor whose range another one has: itself, unless it was only moved. As last resolved."""
        return self._roots.get(tensor, tensor)

    def span(self, tensor: int) -> tuple[float, float]:
        """Return the ends of a tensor's grid as last resolved: its range, widened where kernels need it."""
        return self._span(tensor)

    def _inputs(self, found: Sequence[OpGrids]) -> dict[int, Grid]:
        """Return the grid of each input that an integer operation reads: the widest that it is read on."""
        grids = {}
        for tensor in self._graph.inputs:
            read = [found[number].reads[place] for number, place in self._readers.get(tensor.index, ())]
            held = [grid for grid in read if grid is not None]
            if held:
                grids[tensor.index] = max(held, key=lambda grid: grid.bits)
        return grids

    def _only_reading(self, tensor: int, found: Sequence[OpGrids]) -> Grid | None:
        """Return the one grid that all readers of a tensor read it on, None if there is none."""
        if tensor in self._leaving:
            return None
        wanted = {found[number].reads[place] for number, place in self._readers.get(tensor, ())}
        return wanted.pop() if len(wanted) == 1 else None

    @staticmethod
    def _constrained(kind: str) -> bool:
        return kind in MOVING or kind in JOINING or (kind, 8) in _FIXED

    def _op(self, node: Node, precision: Precision) -> OpGrids:
        floats = [self._graph.tensors[index].dtype == "float32" for index in node.moving]
        produced = node.output_dtypes[0] == "float32"
        if not precision.integer or not (any(floats) or produced):
            return OpGrids((None,) * len(node.moving), (), None)
        own = [self._grid(index, precision) if real else None for index, real in zip(node.moving, floats, strict=True)]
        out = self._output(node, precision, own) if produced else None
        reads = [out if grid is not None else None for grid in own] if node.kind in JOINING else own
        return OpGrids(tuple(reads), self._constants(node, precision, out), out, self._bounds(node))

    def _bounds(self, node: Node) -> tuple[float, ...] | None:
        place = WEIGHTED.get(node.kind)
        if place is None or place.weights not in node.constants:
            return None
        wanted = self._scales.weights[self._graph.tensors[node.op.inputs[place.weights]].name]
        own = self._own_bounds.get(node.op.index)
        if own is None:
            own = weight_bounds(node.constants[place.weights], place.channel_axis) * (1 + 1e-6)
            self._own_bounds[node.op.index] = own
        return tuple(wanted.ravel().tolist()) if (wanted > own).any() else None

    def _output(self, node: Node, precision: Precision, reads: Sequence[Grid | None]) -> Grid:
        fixed = _FIXED.get((node.kind, precision.bits))
        first = next((place for place, grid in enumerate(reads) if grid is not None), None)
        if fixed is not None:
            least, most = fixed.lowest * fixed.scale, fixed.highest * fixed.scale
            self._spans[node.op.outputs[0]] = (-most, most) if precision is Precision.INT16 else (least, most)
            return fixed
        grid = reads[first] if first is not None else None
        if node.kind in MOVING and first is not None and grid is not None:
            for index in node.op.outputs:
                self._spans[index] = self._span(node.moving[first])
                self._roots[index] = self.owner(node.moving[first])
            return grid
        return self._grid(node.op.outputs[0], precision)

    def _constants(self, node: Node, precision: Precision, out: Grid | None) -> tuple[tuple[int, Grid], ...]:
        if node.kind in WEIGHTED:
            return ()
        found = []
        for position, value in node.constants.items():
            if value.dtype != np.float32 or not value.size:
                continue
            if node.kind in JOINING and out is not None:
                found.append((position, out))
            elif node.kind == "BATCH_MATMUL":  # a matrix of weights: eight bits beside activations of any width
                found.append((position, Grid(8, float(np.abs(value).max() / np.float32(127)))))
            else:
                found.append((position, Grid.between(float(value.min()), float(value.max()), precision)))
        return tuple(found)

    def _span(self, tensor: int) -> _Span:
        """Return the ends of a tensor's range as operations so far have left it."""
        return self._spans.get(tensor) or self._scales.spans[self._graph.tensors[tensor].name]

    def _grid(self, tensor: int, precision: Precision) -> Grid:
        owner = self.owner(tensor)
        span, known = self._span(tensor), None if self._fixed is None or owner in self._fixed else owner
        key = (span, precision, known)
        if key not in self._grids:
            self._grids[key] = replace(Grid.between(*span, precision), owner=known)
        return self._grids[key]
