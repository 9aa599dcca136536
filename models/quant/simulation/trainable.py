"""The simulation with weights, biases and INT8 ranges as variables: what fine-tuning trains.

Owns which constants and which ranges are trained, and writing them back: a float graph and ranges, from which
`models.quant.produce` makes the graph that was simulated. Knows no loss, data or optimizer. With every operation in
FP32 it is the float graph itself, with the same variables and no ranges.

All weights are one variable, and all ranges another: hundreds of small ones cost an optimizer more than its arithmetic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.quant import editing
from models.quant.ranges import Ranges
from models.quant.scales import WEIGHTED
from models.quant.simulation.arithmetic import arithmetic
from models.quant.simulation.assignment import Assignment, OpGrids
from models.quant.simulation.engine import Simulation, requantized
from models.quant.simulation.kernels import integer_kernel
from models.quant.simulation.rounding import Grid

__all__ = ["TrainableGraph"]


@dataclass(frozen=True, slots=True)
class _Weights:
    """Constant weights or a bias: of which operation, at which of its inputs, of what shape."""

    number: int
    position: int
    shape: tuple[int, ...]


class TrainableGraph:
    """A float graph under an assignment, differentiable, from feeds to outputs in real values.

    Attributes:
        weights: float32 [W]: the weights and biases of all operations that have some, in execution order.
        stretches: float32 [R, 2]: logarithms by which both ends of each trained range were stretched, so that one
            learning rate suits ranges of any size.
        input: shape of each input by name, the batch in front.
        output: name of each output, in order.
    """

    def __init__(self, simulation: Simulation, assignment: Assignment) -> None:
        """Start from the graph's own weights and the simulation's ranges."""
        self._simulation, self._assignment = simulation, assignment
        resolved = simulation.grids.resolve(assignment, trained=True)
        self._ops, self._inputs = resolved.ops, resolved.inputs
        self._places = [
            _Weights(number, position, node.constants[position].shape)
            for number, node in enumerate(simulation.nodes)
            if (place := WEIGHTED.get(node.kind)) is not None
            for position in (place.weights, place.bias)
            if position in node.constants
        ]
        values = [simulation.nodes[p.number].constants[p.position].ravel() for p in self._places]
        self.weights = keras.Variable(np.concatenate([np.zeros(0, np.float32), *values]), name="weights")
        grids = [grid for op in self._ops for grid in (*op.reads, op.out) if grid is not None]
        self._owners = sorted({grid.owner for grid in grids if grid.owner is not None})
        spans = [simulation.grids.span(owner) for owner in self._owners]
        self._spans = np.asarray(spans, np.float32).reshape(-1, 2)
        self._limits = np.full(len(spans), np.inf, np.float32)
        makers = {index: node for node in simulation.nodes for index in node.op.outputs}
        for row, owner in enumerate(self._owners):
            # Where ReLU and ReLU6 clip, a grid need not reach farther: kernels then clip at its ends alone.
            if owner in makers and makers[owner].activation in (1, 3):
                self._spans[row, 0] = 0.0
                self._limits[row] = 6.0 if makers[owner].activation == 3 else np.inf
        self.stretches = keras.Variable(np.zeros_like(self._spans), name="stretches")
        self._moved = {index: simulation.grids.owner(index) for node in simulation.nodes for index in node.op.outputs}
        self.input = {t.name: tf.TensorSpec((None, *t.shape[1:]), t.dtype) for t in simulation.graph.inputs}
        given = {str(t.index): tf.TensorSpec((None, *t.shape), t.dtype) for t in simulation.graph.inputs}
        self._traced = tf.function(lambda values: self._pass(values, ())[0], input_signature=[given], autograph=False)
        self.output = tuple(tensor.name for tensor in simulation.graph.outputs)

    def __call__(self, feed: Mapping[str, Any], training: bool = False) -> dict[str, tf.Tensor]:
        """Return the outputs by name, float32 [B, ...]. It may stand where a Keras model does: ``training`` is that."""
        del training
        return dict(self._traced({str(index): value for index, value in self._simulation.start(feed).items()}))

    def watched(
        self, feed: Mapping[str, Any], tensors: Sequence[int]
    ) -> tuple[dict[str, tf.Tensor], tuple[tf.Tensor, ...]]:
        """Return the outputs, and the real values of some tensors of the graph on the way, [B, ...]."""
        return self._pass({str(index): value for index, value in self._simulation.start(feed).items()}, tensors)

    def _pass(
        self, values: Mapping[str, tf.Tensor], tensors: Sequence[int]
    ) -> tuple[dict[str, tf.Tensor], tuple[tf.Tensor, ...]]:
        run = _Run(self._simulation, self._constants(), self._ends())
        run.feed({int(index): value for index, value in values.items()}, self._inputs)
        for number, grids in enumerate(self._ops):
            run.step(number, grids)
        outputs = self._simulation.named(lambda index: run.read(index, None))
        return outputs, tuple(run.read(index, None) for index in tensors)

    def float_graph(self) -> bytes:
        """Return the float graph with the weights as they stand."""
        model, values = editing.read_model(self._simulation.float_tflite), np.asarray(self.weights)
        subgraph, first = model.subgraphs[0], 0
        for place in self._places:
            index = self._simulation.nodes[place.number].op.inputs[place.position]
            size = int(np.prod(place.shape))
            # Fitted graphs have a buffer for each of these alone.
            model.buffers[subgraph.tensors[index].buffer].data = np.frombuffer(
                values[first : first + size].astype(np.float32).tobytes(), np.uint8
            )
            first += size
        return editing.write_model(model)

    def ranges(self, start: Ranges, source: str) -> Ranges:
        """Return ``start`` with the ranges as trained, also those of tensors that are only moved."""
        ends = np.asarray(self._spans * np.exp(np.asarray(self.stretches)), np.float64)
        ends[:, 1] = np.minimum(ends[:, 1], self._limits)
        trained = {owner: (float(low), float(high)) for owner, (low, high) in zip(self._owners, ends, strict=True)}
        graph, found = self._simulation.graph, dict(start.complete(self._simulation.graph).tensors)
        for index, owner in self._moved.items():
            name = graph.tensors[index].name
            if owner in trained and name in found:
                found[name] = replace(found[name], low=trained[owner][0], high=trained[owner][1])
        return Ranges(found, source, start.data)

    def _constants(self) -> dict[tuple[int, int], tf.Tensor]:
        """Return trained constants by operation and position."""
        if not self._places:
            return {}
        parts = tf.split(tf.convert_to_tensor(self.weights), [int(np.prod(p.shape)) for p in self._places])
        return {
            (place.number, place.position): tf.reshape(part, place.shape)
            for place, part in zip(self._places, parts, strict=True)
        }

    def _ends(self) -> dict[int, tuple[tf.Tensor, tf.Tensor]]:
        """Return both ends of each trained range, by its tensor."""
        if not self._owners:
            return {}
        ends = self._spans * tf.exp(tf.convert_to_tensor(self.stretches))
        low, high = tf.unstack(ends[:, 0]), tf.unstack(tf.minimum(ends[:, 1], self._limits))
        return {owner: (low[row], high[row]) for row, owner in enumerate(self._owners)}


class _Run:
    """One pass over the graph. Grids are looked up as resolved, in numbers, and computed on as trained."""

    def __init__(
        self,
        simulation: Simulation,
        constants: Mapping[tuple[int, int], tf.Tensor],
        ends: Mapping[int, tuple[tf.Tensor, tf.Tensor]],
    ) -> None:
        self._simulation, self._constants, self._ends = simulation, constants, ends
        self._live: dict[Grid, Grid] = {}
        self._values: dict[int, tuple[tf.Tensor, Grid | None]] = {}
        self._readings: dict[tuple[int, Grid | None], tf.Tensor] = {}

    def feed(self, values: Mapping[int, tf.Tensor], grids: Mapping[int, Grid]) -> None:
        """Give the inputs, on their grids where integer operations read them."""
        for index, value in values.items():
            grid = grids.get(index)
            moved = value if grid is None else requantized(value, None, self._trained(grid))
            self._values[index] = (moved, grid)

    def step(self, number: int, grids: OpGrids) -> None:
        """Run one operation."""
        node = self._simulation.nodes[number]
        inputs = {
            position: self.read(index, grid)
            for position, index, grid in zip(node.positions, node.moving, grids.reads, strict=True)
        }
        trained = {p: self._constants.get((number, p)) for p in node.constants}
        constants = {p: tf.constant(v) if trained[p] is None else trained[p] for p, v in node.constants.items()}
        if grids.out is None:
            made = arithmetic(node)({**constants, **inputs})
        else:
            reads = {p: g for p, g in zip(node.positions, grids.reads, strict=True) if g is not None}
            every = {position: self._trained(grid) for position, grid in {**reads, **dict(grids.constants)}.items()}
            made = integer_kernel(node, every, self._trained(grids.out), constants, grids.bounds)(inputs)
        if not node.moving:
            rows = tf.shape(next(iter(self._values.values()))[0])[0]
            made = tuple(tf.repeat(value[None], rows, 0) for value in made)
        self._values.update((index, (value, grids.out)) for index, value in zip(node.op.outputs, made, strict=True))

    def read(self, index: int, grid: Grid | None) -> tf.Tensor:
        """Return a tensor on ``grid``, None for real values."""
        value, own = self._values[index]
        if own == grid:
            return value
        if (index, grid) not in self._readings:
            source, target = (None if one is None else self._trained(one) for one in (own, grid))
            self._readings[index, grid] = requantized(value, source, target)
        return self._readings[index, grid]

    def _trained(self, grid: Grid) -> Grid:
        """Return the grid as its range has been trained."""
        if grid.owner is None:
            return grid
        if grid not in self._live:
            self._live[grid] = grid.trained(*self._ends[grid.owner])
        return self._live[grid]
