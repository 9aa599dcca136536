"""Many precisions of one float graph at once, simulated in TensorFlow without exporting or tracing anything.

Each value is identified by what made it: the operation, the precision it ran in, and the values it read. Variants
that agree so far share the value, so whatever lies before a change, or beside it, is computed once: the prefix of a
variant is exactly that of its base. What differs runs as one batch for each precision.

Rounding is the integer graph's: an integer operation puts its weights on the INT8 grid of each output channel, reads
its inputs on its own type's grid, and rounds its output to it; operations that only move values round nothing, and
softmax, tanh and the logistic function have the grids that kernels hard-code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from models.quant.fitting import fit_for_quantizing
from models.quant.plan import Precision
from models.quant.ranges import FIXED, Ranges
from models.sensitivity.groups import Group, groups_of
from models.sensitivity.kernels import Kernel, kernels_of

__all__ = ["Assignment", "Simulator"]

Assignment = tuple[Precision, ...]
"""A precision for each operation of the graph."""

_MOVING = frozenset({"PAD", "RESHAPE", "RESIZE_NEAREST_NEIGHBOR", "TRANSPOSE"})
_SAME_GRID = _MOVING | {"AVERAGE_POOL_2D", "MAX_POOL_2D", "RESIZE_BILINEAR"}
_WEIGHTED = {"CONV_2D": (1, 2, 3), "DEPTHWISE_CONV_2D": (0, 1, 2), "FULLY_CONNECTED": (1,)}
# Values in one call of a kernel: 256 MB of floats, so that many variants do not need many gigabytes.
_VALUES_AT_ONCE = 1 << 26


@dataclass(frozen=True, slots=True)
class _Value:
    """A tensor of one or more variants, and the precision that it was written in."""

    tensor: tf.Tensor
    precision: Precision


@dataclass
class _State:
    """What is alive while a batch runs: each variant's value number by tensor, and the values by number."""

    numbers: list[dict[int, int]]
    values: dict[int, _Value] = field(default_factory=dict)
    readings: dict[tuple[int, Precision], tf.Tensor] = field(default_factory=dict)
    next_number: int = 0

    def add(self, value: _Value) -> int:
        self.next_number += 1
        self.values[self.next_number] = value
        return self.next_number

    def forget(self, tensors: Sequence[int]) -> None:
        gone = {held.pop(tensor) for held in self.numbers for tensor in tensors if tensor in held}
        for number in gone:
            self.values.pop(number, None)
            for precision in (Precision.INT8, Precision.INT16):
                self.readings.pop((number, precision), None)


class Simulator:
    """A float graph whose operations can run in any precision, any number of ways at once.

    Attributes:
        graph: the float graph's view.
        groups: its groups.
        macs_done: multiply-accumulates that were computed so far: what sharing saved shows here.
    """

    def __init__(self, float_tflite: bytes, ranges: Ranges) -> None:
        """Read the graph.

        Raises:
            QuantizationError: an operation cannot be simulated, or an activation has no range.
        """
        fitted = fit_for_quantizing(float_tflite)
        self.graph, self._kernels = kernels_of(fitted)
        self.groups: tuple[Group, ...] = groups_of(self.graph)
        self.macs_done = 0
        self._ranges = ranges.complete(self.graph).tensors
        self._owners = self._grid_owners()
        self._makers = {kernel.op.outputs[0]: kernel.op.op for kernel in self._kernels}
        self._rounded: dict[tuple[int, Precision], dict[int, Any]] = {}
        self._last_use = self._last_uses()

    @property
    def kernels(self) -> tuple[Kernel, ...]:
        """The operations, ready to run."""
        return self._kernels

    def assignment(self, base: Precision, changes: Mapping[str, Precision]) -> Assignment:
        """Return ``base`` everywhere but in the groups (by name) of ``changes``."""
        found = [base] * len(self.graph.ops)
        for group in self.groups:
            for index in group.ops if group.name in changes else ():
                found[index] = changes[group.name]
        return tuple(found)

    def run(self, feed: Mapping[str, tf.Tensor], assignments: Sequence[Assignment]) -> list[dict[str, tf.Tensor]]:
        """Return the raw outputs of each assignment.

        Args:
            feed: float32 [B, ...] by input name.
            assignments: at least one.

        Returns:
            For each assignment its outputs, float32 [B, ...] by output name; equal ones may be the same tensor.
        """
        state = _State([{} for _ in assignments])
        for tensor in self.graph.inputs:  # a frame has eight bits, which sit on any grid
            number = state.add(_Value(tf.convert_to_tensor(feed[tensor.name]), Precision.INT8))
            for held in state.numbers:
                held[tensor.index] = number
        for kernel in self._kernels:
            self._step(kernel, [assignment[kernel.op.index] for assignment in assignments], state)
            state.forget(self._last_use.get(kernel.op.index, ()))
        outputs = self.graph.outputs
        return [{t.name: state.values[held[t.index]].tensor for t in outputs} for held in state.numbers]

    def _step(self, kernel: Kernel, precisions: Sequence[Precision], state: _State) -> None:
        """Run one operation for all variants: once for each distinct (precision, inputs)."""
        wanted: dict[Precision, dict[tuple[int, ...], list[int]]] = {}
        for variant, (precision, held) in enumerate(zip(precisions, state.numbers, strict=True)):
            key = tuple(held[index] for index in kernel.inputs)
            wanted.setdefault(precision, {}).setdefault(key, []).append(variant)
        for precision, by_key in wanted.items():
            keys = list(by_key)
            for tensor, key in zip(self._outputs(kernel, precision, keys, state), keys, strict=True):
                number = state.add(_Value(tensor, precision))
                for variant in by_key[key]:
                    state.numbers[variant][kernel.op.outputs[0]] = number

    def _outputs(
        self, kernel: Kernel, precision: Precision, keys: Sequence[tuple[int, ...]], state: _State
    ) -> list[tf.Tensor]:
        """Return the operation's output for each tuple of inputs, computed in as few calls as memory allows."""
        read = [[self._read(index, number, precision, state) for index, number in zip(kernel.inputs, key, strict=True)]
                for key in keys]  # fmt: skip
        if not read or not read[0]:
            return [self.apply(kernel, precision, []) for _ in keys]
        rows = int(read[0][0].shape[0])
        at_once = max(1, _VALUES_AT_ONCE // max(1, rows * kernel.op.output_elements))
        found: list[tf.Tensor] = []
        for first in range(0, len(read), at_once):
            part = read[first : first + at_once]
            joined = part[0] if len(part) == 1 else [tf.concat(list(tensors), 0) for tensors in zip(*part, strict=True)]
            made = self.apply(kernel, precision, joined)
            found += [made] if len(part) == 1 else tf.split(made, len(part))
        self.macs_done += kernel.op.macs * rows * len(read)
        return found

    def apply(self, kernel: Kernel, precision: Precision, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        """Run one operation in ``precision`` on inputs that are on its grid already, and round its output."""
        output = kernel.run(inputs, self._constants(kernel, precision))
        return output if kernel.op.op in _MOVING else self.rounded(kernel.op.outputs[0], output, precision)

    def rounded(self, tensor: int, value: tf.Tensor, precision: Precision) -> tf.Tensor:
        """Put a tensor's value on its grid in ``precision``; floats stay as they are."""
        if not precision.integer:
            return value
        owner = self._owners.get(tensor, tensor)
        maker = self._makers.get(owner, "")
        if maker in FIXED:
            return _on_fixed_grid(value, precision, signed=maker == "TANH")
        span = self._ranges[self.graph.tensors[owner].name]
        if precision is Precision.INT16:
            bound = max(abs(span.full_low), abs(span.full_high))
            return tf.quantization.fake_quant_with_min_max_args(value, -bound, bound, num_bits=16, narrow_range=True)
        return tf.quantization.fake_quant_with_min_max_args(value, span.low, span.high)

    def _read(self, tensor: int, number: int, precision: Precision, state: _State) -> tf.Tensor:
        value = state.values[number]
        if not precision.integer or value.precision.bits <= precision.bits:
            return value.tensor
        key = (number, precision)
        if key not in state.readings:
            state.readings[key] = self.rounded(tensor, value.tensor, precision)
        return state.readings[key]

    def _constants(self, kernel: Kernel, precision: Precision) -> dict[int, Any]:
        kind = Precision.INT8 if precision.integer else precision  # INT16 has INT8 weights too
        key = (kernel.op.index, kind)
        if key not in self._rounded:
            axes = _WEIGHTED.get(kernel.op.op)
            self._rounded[key] = {
                position: tf.constant(
                    _weights(value, axes, kind) if position == 1 and axes is not None else value, value.dtype
                )
                for position, value in kernel.constants.items()
            }
        return self._rounded[key]

    def _grid_owners(self) -> dict[int, int]:
        """Return, for tensors that have another tensor's grid, which one's."""
        found: dict[int, int] = {}
        for kernel in self._kernels:
            if kernel.op.op in _SAME_GRID and kernel.inputs:
                source = kernel.inputs[0]
                found[kernel.op.outputs[0]] = found.get(source, source)
        return found

    def _last_uses(self) -> dict[int, list[int]]:
        last = {kernel.op.outputs[0]: kernel.op.index for kernel in self._kernels}
        last |= {index: kernel.op.index for kernel in self._kernels for index in kernel.inputs}
        for tensor in self.graph.outputs:
            last.pop(tensor.index, None)
        found: dict[int, list[int]] = {}
        for tensor_index, op in last.items():
            found.setdefault(op, []).append(tensor_index)
        return found


def _weights(value: NDArray[Any], axes: tuple[int, ...], kind: Precision) -> NDArray[Any]:
    if kind is Precision.FP16:
        return value.astype(np.float16).astype(np.float32)
    if kind is not Precision.INT8:
        return value
    step = np.maximum(np.abs(value).max(axes, keepdims=True), 1e-12) / 127.0
    return np.asarray(np.rint(value / step) * step, np.float32)


def _on_fixed_grid(value: tf.Tensor, precision: Precision, *, signed: bool) -> tf.Tensor:
    """Round to the grid that kernels hard-code for softmax and logistic (unsigned) and tanh (signed)."""
    if precision is Precision.INT16:
        step, lowest, highest = 1 / 32768, -32768 if signed else 0, 32767
    else:
        step, lowest, highest = (1 / 128, -128, 127) if signed else (1 / 256, 0, 255)
    return tf.clip_by_value(tf.round(value / step), lowest, highest) * step
