"""Many precisions of one float graph at once, in TensorFlow, without exporting or tracing anything.

Each value is identified by what made it: the operation, the grids that it read and wrote, and the values that it read.
Variants that agree so far share the value, so whatever lies before a change, or beside it, is computed once. What
differs runs as one batch for each pair of grids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import tensorflow as tf

from models.quant.fitting import fit_for_quantizing
from models.quant.plan import Precision, PrecisionPlan
from models.quant.produce import precisions
from models.quant.quantizer import FP16_OPS
from models.quant.ranges import Ranges
from models.quant.simulation.arithmetic import Arithmetic, arithmetic
from models.quant.simulation.assignment import Assignment, Grids, OpGrids, Resolved
from models.quant.simulation.kernels import integer_kernel
from models.quant.simulation.node import Node, nodes_of
from models.quant.simulation.rounding import Grid, Rounding, away, doubly

__all__ = ["Simulation", "converted", "requantized"]

# Values in one call of a kernel, so that many variants do not need many gigabytes.
_VALUES_AT_ONCE = 1 << 24


def converted(tensor: tf.Tensor, source: Grid | None, target: Grid | None) -> tf.Tensor:
    """Return a value on another grid, as QUANTIZE and DEQUANTIZE give it.

    Args:
        tensor: real values, or steps of ``source``.
        source: its grid, None if it is float.
        target: the grid wanted, None for real values.
    """
    return tensor if source == target else requantized(tensor, source, target)


def requantized(tensor: tf.Tensor, source: Grid | None, target: Grid | None) -> tf.Tensor:
    """Return a value on another grid than its own; see `converted`. Both grids may be trained."""
    if target is None:
        return tensor if source is None else tensor * source.scale
    fixed = isinstance(target.scale, float) and (source is None or isinstance(source.scale, float))
    factor, rounding = (_conversion if fixed else _converting)(source, target)
    return rounding(tensor * factor)


def _converting(source: Grid | None, target: Grid) -> tuple[Any, Rounding]:
    """Return what values are multiplied by on their way to a grid, and how they are rounded there."""
    if source is None:
        return 1.0 / target.scale, away(target)
    factor = source.scale / target.scale
    return factor, doubly(factor, target)


_conversion = lru_cache(maxsize=4096)(_converting)


@dataclass(frozen=True, slots=True)
class _Value:
    """A tensor of one or more variants, and the grid that it is on."""

    tensor: tf.Tensor
    grid: Grid | None


@dataclass
class _State:
    """What is alive while a batch runs: each variant's value number by tensor, and the values by number."""

    numbers: list[dict[int, int]]
    rows: int
    values: dict[int, _Value] = field(default_factory=dict)
    readings: dict[int, dict[Grid | None, tf.Tensor]] = field(default_factory=dict)
    fed: dict[tuple[int, Grid | None], int] = field(default_factory=dict)
    next_number: int = 0

    def add(self, value: _Value) -> int:
        self.next_number += 1
        self.values[self.next_number] = value
        return self.next_number

    def read(self, number: int, grid: Grid | None) -> tf.Tensor:
        value = self.values[number]
        if value.grid == grid:
            return value.tensor
        kept = self.readings.setdefault(number, {})
        if grid not in kept:
            kept[grid] = converted(value.tensor, value.grid, grid)
        return kept[grid]

    def forget(self, tensors: Sequence[int]) -> None:
        gone = {held.pop(tensor) for held in self.numbers for tensor in tensors if tensor in held}
        for number in gone:
            self.values.pop(number, None)
            self.readings.pop(number, None)


class Simulation:
    """A float graph whose operations can run in any precision, any number of ways at once.

    Attributes:
        graph: the float graph's view.
        nodes: its operations.
        macs_done: multiply-accumulates that were computed so far: what sharing saved shows here.
    """

    def __init__(self, float_tflite: bytes, ranges: Ranges) -> None:
        """Read the graph.

        Args:
            float_tflite: the float graph; foreign graphs are made fit first.
            ranges: of its activations.

        Raises:
            QuantizationError: an operation cannot be simulated, or an activation has no range.
        """
        self.float_tflite = fit_for_quantizing(float_tflite)
        self.graph, self.nodes = nodes_of(self.float_tflite)
        self.macs_done = 0
        self._floats = tuple(arithmetic(node) for node in self.nodes)
        self.grids = Grids(self.float_tflite, self.graph, self.nodes, ranges.complete(self.graph).tensors)
        self._prepared: dict[tuple[int, OpGrids, Precision], Arithmetic] = {}
        self._resolved: dict[Assignment, Resolved] = {}
        self._last_use = self._last_uses()

    def assignment(self, plan: PrecisionPlan, runtime: str = "litert", *, allow_float: bool = False) -> Assignment:
        """Return the precision that a plan gives each operation.

        Raises:
            RecipeError: a rule of the plan names no layer.
            QuantizationError: an operation cannot have its type.
        """
        found = precisions(self.graph, plan, runtime, allow_float=allow_float)
        return tuple(found[op.index] for op in self.graph.ops)

    def run(
        self, feed: Mapping[str, Any], assignments: Sequence[Assignment], *, integer_inputs: bool = True
    ) -> list[dict[str, tf.Tensor]]:
        """Return the outputs of each assignment in real values.

        Args:
            feed: float32 by input name: B samples, with or without the graph's own first axis of one.
            assignments: at least one.
            integer_inputs: whether inputs are integers where an operation that reads them is, as in a produced graph.

        Returns:
            For each assignment its outputs by name, float32 [B, ...]; equal ones may be the same tensor.
        """
        values = self.start(feed)
        state = _State([{} for _ in assignments], int(next(iter(values.values())).shape[0]))
        found = [self.resolved(assignment) for assignment in assignments]
        for held, resolved in zip(state.numbers, found, strict=True):
            self._feed(values, resolved.inputs if integer_inputs else {}, held, state)
        for number, node in enumerate(self.nodes):
            ways = [(a[number], r.ops[number]) for a, r in zip(assignments, found, strict=True)]
            self._step(number, node, ways, state)
            state.forget(self._last_use.get(number, ()))
        return [self.named(lambda index, held=held: state.read(held[index], None)) for held in state.numbers]

    def extend(self, values: dict[int, tf.Tensor], numbers: Iterable[int]) -> None:
        """Add to ``values`` what the operations ``numbers`` give in float."""
        rows = next(iter(values.values())).shape[0]
        for number in numbers:
            node, nothing = self.nodes[number], (None,) * len(self.nodes[number].moving)
            kernel = self.kernel(number, Precision.FP32, OpGrids(nothing, (), None))
            made = kernel({p: values[i] for p, i in zip(node.positions, node.moving, strict=True)})
            if not node.moving:
                made = tuple(tf.repeat(y[None], rows, 0) for y in made)
            values.update(zip(node.op.outputs, made, strict=True))

    def partial(
        self, numbers: Iterable[int], assignment: Assignment, values: Mapping[int, tf.Tensor]
    ) -> dict[int, tf.Tensor]:
        """Return what some operations give under an assignment when they read the float graph's own values.

        Args:
            numbers: of the operations, ascending.
            assignment: of the graph.
            values: of the float graph, by tensor.

        Returns:
            Their outputs in real values, by tensor.
        """
        made: dict[int, _Value] = {}
        resolved = self.resolved(assignment)
        for number in numbers:
            node, grids = self.nodes[number], resolved.ops[number]
            inputs = {}
            for position, index, grid in zip(node.positions, node.moving, grids.reads, strict=True):
                value = made.get(index) or _Value(values[index], None)
                inputs[position] = converted(value.tensor, value.grid, grid)
            outputs = self.kernel(number, assignment[number], grids)(inputs)
            made.update((i, _Value(y, grids.out)) for i, y in zip(node.op.outputs, outputs, strict=True))
        return {index: converted(value.tensor, value.grid, None) for index, value in made.items()}

    def start(self, feed: Mapping[str, Any]) -> dict[int, tf.Tensor]:
        """Return a feed by tensor, with the batch in front of the graph's own shape."""
        return {
            tensor.index: tf.reshape(tf.cast(feed[tensor.name], tensor.dtype), (-1, *tensor.shape))
            for tensor in self.graph.inputs
        }

    def named(self, value: Any) -> dict[str, tf.Tensor]:
        """Return outputs by name, without the graph's first axis where that is one; ``value`` gives them by tensor."""
        found = {}
        for tensor in self.graph.outputs:
            shape = tensor.shape[1:] if tensor.shape[:1] == (1,) else tensor.shape
            found[tensor.name] = tf.reshape(value(tensor.index), (-1, *shape))
        return found

    def resolved(self, assignment: Assignment) -> Resolved:
        """Return the grids under an assignment."""
        if assignment not in self._resolved:
            self._resolved[assignment] = self.grids.resolve(assignment)
        return self._resolved[assignment]

    def kernel(self, number: int, precision: Precision, grids: OpGrids) -> Arithmetic:
        """Return an operation ready to run on inputs that are on ``grids``; in real values where these are None."""
        key = (number, grids, Precision.FP32 if grids.out is not None else precision)
        if key not in self._prepared:
            self._prepared[key] = self._prepare(number, precision, grids)
        return self._prepared[key]

    def _prepare(self, number: int, precision: Precision, grids: OpGrids) -> Arithmetic:
        node = self.nodes[number]
        constants = {position: tf.constant(value) for position, value in node.constants.items()}
        if grids.out is None:
            if precision is Precision.FP16 and node.kind in FP16_OPS and 1 in constants:
                constants[1] = tf.cast(tf.cast(constants[1], tf.float16), tf.float32)
            body = self._floats[number]
            return lambda xs: body({**constants, **xs})
        reads = {p: g for p, g in zip(node.positions, grids.reads, strict=True) if g is not None}
        return integer_kernel(node, {**reads, **dict(grids.constants)}, grids.out, constants, grids.bounds)

    @staticmethod
    def _feed(values: Mapping[int, tf.Tensor], grids: Mapping[int, Grid], held: dict[int, int], state: _State) -> None:
        """Give one variant its inputs; variants whose inputs are on the same grid share them."""
        for index, value in values.items():
            key = (index, grids.get(index))
            if key not in state.fed:
                state.fed[key] = state.add(_Value(converted(value, None, key[1]), key[1]))
            held[index] = state.fed[key]

    def _step(self, number: int, node: Node, ways: Sequence[tuple[Precision, OpGrids]], state: _State) -> None:
        """Run one operation for all variants: once for each distinct (grids, inputs)."""
        wanted: dict[tuple[Precision, OpGrids], dict[tuple[int, ...], list[int]]] = {}
        for variant, (way, held) in enumerate(zip(ways, state.numbers, strict=True)):
            key = tuple(held[index] for index in node.moving)
            wanted.setdefault(way, {}).setdefault(key, []).append(variant)
        for (precision, grids), by_key in wanted.items():
            keys = list(by_key)
            kernel = self.kernel(number, precision, grids)
            for tensors, key in zip(self._outputs(node, kernel, grids, keys, state), keys, strict=True):
                made = [state.add(_Value(tensor, grids.out)) for tensor in tensors]
                for variant in by_key[key]:
                    state.numbers[variant].update(zip(node.op.outputs, made, strict=True))

    def _outputs(
        self, node: Node, kernel: Arithmetic, grids: OpGrids, keys: Sequence[tuple[int, ...]], state: _State
    ) -> list[tuple[tf.Tensor, ...]]:
        """Return the operation's outputs for each tuple of inputs, computed in as few calls as memory allows."""
        read = [[state.read(n, grid) for n, grid in zip(key, grids.reads, strict=True)] for key in keys]
        if not node.moving:
            made = tuple(tf.repeat(y[None], state.rows, 0) for y in kernel({}))
            return [made for _ in keys]
        rows = state.rows
        at_once = max(1, _VALUES_AT_ONCE // max(1, rows * node.op.output_elements))
        found: list[tuple[tf.Tensor, ...]] = []
        for first in range(0, len(read), at_once):
            part = read[first : first + at_once]
            joined = part[0] if len(part) == 1 else [tf.concat(list(tensors), 0) for tensors in zip(*part, strict=True)]
            made = kernel(dict(zip(node.positions, joined, strict=True)))
            if len(part) == 1:
                found.append(made)
            else:
                found += list(zip(*(tf.split(y, len(part)) for y in made), strict=True))
        self.macs_done += node.op.macs * rows * len(read)
        return found

    def _last_uses(self) -> dict[int, list[int]]:
        last = {index: number for number, node in enumerate(self.nodes) for index in node.op.outputs}
        last |= {index: number for number, node in enumerate(self.nodes) for index in node.moving}
        for tensor in self.graph.outputs:
            last.pop(tensor.index, None)
        found: dict[int, list[int]] = {}
        for tensor_index, number in last.items():
            found.setdefault(number, []).append(tensor_index)
        return found
