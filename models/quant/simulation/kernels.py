"""Integer kernels: each operation on steps, rounded where and as TFLite's reference kernels round.

A kernel takes its computed inputs in steps of their grids [N, ...] and returns the outputs in steps of theirs. Its
constants are real values; what the quantizer makes of them (`weight_steps`, `constant_steps`) is made here, so that
they can be trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from models.errors import QuantizationError
from models.quant.grid import SMALLEST_SCALE
from models.quant.scales import WEIGHTED
from models.quant.simulation import tables
from models.quant.simulation.arithmetic import Arithmetic, arithmetic, product
from models.quant.simulation.node import Node
from models.quant.simulation.rounding import Grid, Rounding, away, doubly, half_up, power_below, whole

__all__ = ["constant_steps", "integer_kernel", "weight_steps"]

# Their accumulators are rounded once, with a factor of 31 bits in both types.
_ONCE = frozenset({"FULLY_CONNECTED"})

Grids = Mapping[int, Grid]


def weight_steps(
    weights: Any, channel_axis: int, bits: int = 8, bounds: Sequence[float] | None = None
) -> tuple[tf.Tensor, tf.Tensor]:
    """Return weights in steps, and the scale of each output channel; the gradient passes to the weights.

    Args:
        weights: float32, of any shape.
        channel_axis: of the output channels; the other axes share a scale.
        bits: 8 or 4.
        bounds: what each channel's grid reaches at least; its largest weight if None.
    """
    weights = tf.convert_to_tensor(weights)
    highest = float((1 << (bits - 1)) - 1)
    axes = [axis for axis in range(len(weights.shape)) if axis != channel_axis]
    bound = tf.maximum(tf.reduce_max(tf.abs(weights), axes, keepdims=True), SMALLEST_SCALE)
    if bounds is not None:
        bound = tf.maximum(bound, tf.reshape(tf.constant(bounds, tf.float32), tf.shape(bound)))
    scale = tf.stop_gradient(bound / highest)
    steps = weights / scale
    return steps + tf.stop_gradient(tf.round(steps) - steps), scale


def constant_steps(value: Any, grid: Grid) -> tf.Tensor:
    """Return a constant in steps of its grid, as the quantizer stores it."""
    narrow = 1 if grid.bits == 16 else 0
    steps = tf.convert_to_tensor(value) / grid.scale
    rounded = tf.clip_by_value(tf.round(steps), float(grid.lowest + narrow), float(grid.highest))
    return steps + tf.stop_gradient(rounded - steps)


def integer_kernel(
    node: Node, reads: Grids, out: Grid, constants: Mapping[int, Any], bounds: Sequence[float] | None = None
) -> Arithmetic:
    """Return the kernel of an operation.

    Args:
        node: the operation.
        reads: the grid of each quantized input, by position; constants that are not weights have one too.
        out: the grid of its outputs.
        constants: its constant inputs in real values, by position; tensors or arrays.
        bounds: what the grid of each output channel's weights reaches; its largest weight if None.

    Raises:
        QuantizationError: there is no integer kernel for it.
    """
    if node.kind not in _KERNELS:
        raise QuantizationError(f"{node.kind} (operation {node.op.index}) has no integer kernel that can be simulated")
    return _KERNELS[node.kind](_Way(node, reads, out, constants, bounds))


@dataclass(frozen=True)
class _Way:
    """What a kernel is made from: see `integer_kernel`."""

    node: Node
    reads: Grids
    out: Grid
    constants: Mapping[int, Any]
    bounds: Sequence[float] | None

    def held(self) -> dict[int, Any]:
        """Return constants in steps where they have a grid, as they are elsewhere."""
        return {p: constant_steps(v, self.reads[p]) if p in self.reads else v for p, v in self.constants.items()}


def _clip(node: Node, out: Grid) -> dict[str, Any]:
    """Return the ends of the fused activation in steps."""
    low, high = _ACTIVE[node.activation] if node.activation in _ACTIVE else _refuse(node)
    found: dict[str, Any] = {}
    if low is not None:
        found["lowest"] = _steps(low, out)
    if high is not None:
        found["highest"] = _steps(high, out)
    return found


_ACTIVE: Mapping[int, tuple[float | None, float | None]] = {
    0: (None, None),
    1: (0.0, None),
    2: (-1.0, 1.0),
    3: (0.0, 6.0),
}


def _refuse(node: Node) -> Any:
    raise QuantizationError(
        f"{node.kind} (operation {node.op.index}) has a fused activation that no integer kernel has"
    )


def _steps(value: float, grid: Grid) -> Any:
    """Return a real value in whole steps: a number where the grid is one, or where it is zero."""
    if not value:
        return 0.0
    if isinstance(grid.scale, float):
        return float(np.rint(np.float32(value) / np.float32(grid.scale)))
    return whole(value / grid.scale)


def _factor_16(factor: Any) -> Any:
    """Return a factor as kernels with 64-bit accumulators hold it: in fifteen bits."""
    power = tf.pow(2.0, tf.floor(tf.math.log(tf.stop_gradient(factor)) / np.log(2.0)) + 1.0)
    held = tf.minimum(tf.round(factor / power * 32768.0), 32767.0) / 32768.0 * power
    return factor + tf.stop_gradient(held - factor)


def _held_factor(node: Node, factor: Any, out: Grid) -> Any:
    """Return the factor that an accumulator is multiplied by, as the kernel holds it."""
    return _factor_16(tf.cast(factor, tf.float32)) if out.bits == 16 and node.kind not in _ONCE else factor


def _accumulated(node: Node, factor: Any, out: Grid) -> Rounding:
    """Return how an accumulator is rounded that was multiplied by ``factor``."""
    if out.bits == 16 or node.kind in _ONCE:
        return half_up(out, **_clip(node, out))
    return doubly(factor, out, **_clip(node, out), covered=_covered(node, out))


def _covered(node: Node, out: Grid) -> bool:
    """Tell whether a trained grid ends where ReLU and ReLU6 do: it is kept there (`trainable`)."""
    return out.owner is not None and out.owner in node.op.outputs and node.activation in (1, 3)


def _weighted(way: _Way) -> Arithmetic:
    node, out, place = way.node, way.out, WEIGHTED[way.node.kind]
    if place.weights not in way.constants:
        raise QuantizationError(f"{node.kind} (operation {node.op.index}) computes its own weights")
    weights, scale = weight_steps(way.constants[place.weights], place.channel_axis, bounds=way.bounds)
    by_channel = tf.reshape(scale, (-1,))
    factor = by_channel * (way.reads[place.source].scale / out.scale)
    held = _held_factor(node, factor, out)
    scaled = weights * tf.reshape(held, tf.shape(scale))
    shift = tf.zeros(node.output_shapes[0][-1])
    if place.bias in way.constants:
        steps = tf.convert_to_tensor(way.constants[place.bias]) / (by_channel * way.reads[place.source].scale)
        shift = (steps + tf.stop_gradient(tf.round(steps) - steps)) * held
    rounding, more = _accumulated(node, factor, out).split()
    shift = shift if more is None else shift + more
    return lambda xs: (product(node, xs[place.source], scaled, shift, rounding.function, *rounding.arguments),)


def _matmul(way: _Way) -> Arithmetic:
    body, held = arithmetic(way.node, activate=False), way.held()
    factor = way.reads[0].scale * way.reads[1].scale / way.out.scale
    multiplier, rounding = _held_factor(way.node, factor, way.out), _accumulated(way.node, factor, way.out)
    smaller = int(np.prod(way.node.shapes[1]) < np.prod(way.node.shapes[0]))

    def run(xs: Mapping[int, tf.Tensor]) -> tuple[tf.Tensor, ...]:
        every = {**xs, **held}
        return (rounding(body({**every, smaller: every[smaller] * multiplier})[0]),)

    return run


def _sum(way: _Way) -> Arithmetic:
    body, held = arithmetic(way.node, activate=False), way.held()
    factors = [way.reads[position].scale / way.out.scale for position in (0, 1)]
    rounding = (away if _have_ties(factors) else half_up)(way.out, **_clip(way.node, way.out))

    def run(xs: Mapping[int, tf.Tensor]) -> tuple[tf.Tensor, ...]:
        every = {**xs, **held}
        return (rounding(body({p: every[p] * factors[p] for p in (0, 1)})[0]),)

    return run


def _have_ties(factors: Sequence[Any]) -> bool:
    """Tell whether sums of whole numbers times these factors can lie halfway between two."""
    if any(not isinstance(factor, float) for factor in factors):
        return False  # trained grids
    return all(abs(factor * 64 - round(factor * 64)) < 1e-3 for factor in factors)


def _product(way: _Way) -> Arithmetic:
    body, held = arithmetic(way.node, activate=False), way.held()
    factor = way.reads[0].scale * way.reads[1].scale / way.out.scale
    rounding = doubly(factor, way.out, **_clip(way.node, way.out))
    return lambda xs: (rounding(body({**xs, **held})[0] * factor),)


def _moved(way: _Way) -> Arithmetic:
    body, held = arithmetic(way.node), way.held()
    return lambda xs: body({**xs, **held})


def _averaged(way: _Way) -> Arithmetic:
    """Kernels that average the integers themselves, so that ties go away from the integer zero."""
    body = arithmetic(way.node, activate=False)
    rounding = away(
        way.out.moved(0), **{name: end + way.out.zero_point for name, end in _clip(way.node, way.out).items()}
    )
    zero = tf.cast(way.out.zero_point, tf.float32)
    return lambda xs: (rounding(body({**xs, **way.constants})[0] + zero) - zero,)


def _bilinear(way: _Way) -> Arithmetic:
    """Kernels that interpolate with weights of ten bits."""
    rows, columns = (_between(way.node, axis) for axis in (1, 2))
    rounding, zero = away(way.out.moved(0)), tf.cast(way.out.zero_point, tf.float32)

    def run(xs: Mapping[int, tf.Tensor]) -> tuple[tf.Tensor, ...]:
        y = xs[0]
        for axis, (low, high, part) in ((2, rows), (3, columns)):
            first = tf.gather(y, low, axis=axis)
            shape = [-1 if place == axis else 1 for place in range(5)]
            y = first + (tf.gather(y, high, axis=axis) - first) * tf.reshape(tf.constant(part), shape)
        return (rounding(y + zero) - zero,)

    return run


def _between(node: Node, axis: int) -> tuple[Any, Any, Any]:
    """Return, along one axis, which two inputs each output lies between, and how far behind the first of them."""
    size, wanted, options = node.shapes[0][axis], node.output_shapes[0][axis], node.options
    scale = ((size << 10) + wanted // 2) // wanted
    if options.alignCorners and wanted > 1:
        scale = (((size - 1) << 10) + (wanted - 1) // 2) // (wanted - 1)
    place = np.arange(wanted, dtype=np.int64) * scale
    if options.halfPixelCenters:
        place = place + scale // 2 - (1 << 9)
    low = np.clip(place >> 10, 0, size - 1)
    high = np.clip((place + (1 << 10) - 1) >> 10, 0, size - 1)
    return low, high, np.asarray((place - (low << 10)) / 1024, np.float32)


def _mean(way: _Way) -> Arithmetic:
    """Return the mean: a sum, whose factor was divided by the number of values, so that it has fewer bits."""
    body = arithmetic(way.node)
    factor = way.reads[0].scale / way.out.scale
    count = np.prod(way.node.shapes[0]) / np.prod(way.node.output_shapes[0])
    rounding = doubly(power_below(factor) / float(power_below(count)), way.out)
    return lambda xs: (rounding(body({**xs, **way.constants})[0] * factor),)


def _function(way: _Way) -> Arithmetic:
    """Functions of one value, read from a table."""
    body = arithmetic(way.node)

    def function(x: tf.Tensor) -> tf.Tensor:
        return body({0: x})[0]

    if way.out.bits == 16:
        rounding = half_up(way.out)
        return lambda xs: (rounding(tables.interpolated(function, xs[0], way.reads[0], way.out)),)
    rounding = away(way.out)
    return lambda xs: (rounding(function(xs[0] * way.reads[0].scale) / way.out.scale),)


def _fixed(kernel_16: Callable[[tf.Tensor, Grid], tf.Tensor]) -> Callable[[_Way], Arithmetic]:
    def build(way: _Way) -> Arithmetic:
        if way.out.bits == 8:
            return _function(way)
        rounding = half_up(way.out)
        return lambda xs: (rounding(kernel_16(xs[0], way.reads[0])),)

    return build


def _softmax(way: _Way) -> Arithmetic:
    kernel, rounding = tables.softmax_16 if way.out.bits == 16 else tables.softmax_8, half_up(way.out)
    beta = float(way.node.options.beta)
    return lambda xs: (rounding(kernel(xs[0], way.reads[0], beta)),)


def _rsqrt(way: _Way) -> Arithmetic:
    kernel, rounding = (tables.rsqrt_16, half_up(way.out)) if way.out.bits == 16 else (tables.rsqrt_8, away(way.out))
    return lambda xs: (rounding(kernel(xs[0], way.reads[0], way.out)),)


def _sqrt(way: _Way) -> Arithmetic:
    """Return the square root; the kernel cuts off what is left of a step."""
    factor, rounding = tf.sqrt(tf.cast(way.reads[0].scale, tf.float32)) / way.out.scale, half_up(way.out)
    return lambda xs: (rounding(tf.sqrt(tf.maximum(xs[0], 0.0)) * factor - 0.5),)


def _relu(way: _Way) -> Arithmetic:
    low, high = _RELUS[way.node.kind]
    factor = way.reads[0].scale / way.out.scale
    rounding = doubly(factor, way.out, _steps(low, way.out), None if high is None else _steps(high, way.out))
    return lambda xs: (rounding(xs[0] * factor),)


_RELUS: Mapping[str, tuple[float, float | None]] = {
    "RELU": (0.0, None), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0), "RELU_0_TO_1": (0.0, 1.0),
}  # fmt: skip


def _div(way: _Way) -> Arithmetic:
    body, held = arithmetic(way.node, activate=False), way.held()
    factor = way.reads[0].scale / (way.reads[1].scale * way.out.scale)
    rounding = away(way.out, **_clip(way.node, way.out))
    return lambda xs: (rounding(body({**xs, **held})[0] * factor),)


_MOVING = (
    "BROADCAST_TO", "CONCATENATION", "DEPTH_TO_SPACE", "EXPAND_DIMS", "GATHER", "MAXIMUM", "MAX_POOL_2D", "MINIMUM",
    "MIRROR_PAD", "PACK", "PAD", "PADV2", "REDUCE_MAX", "REDUCE_MIN", "RESHAPE", "RESIZE_NEAREST_NEIGHBOR", "SELECT",
    "SELECT_V2", "SLICE", "SPACE_TO_DEPTH", "SPLIT", "SPLIT_V", "SQUEEZE", "STRIDED_SLICE", "TILE", "TRANSPOSE",
    "UNPACK",
)  # fmt: skip

_KERNELS: Mapping[str, Callable[[_Way], Arithmetic]] = {
    **dict.fromkeys(WEIGHTED, _weighted),
    **dict.fromkeys(_MOVING, _moved),
    **dict.fromkeys(("ADD", "SUB"), _sum),
    **dict.fromkeys(("ELU", "EXP", "GELU", "HARD_SWISH", "LOG"), _function),
    **dict.fromkeys(_RELUS, _relu),
    "AVERAGE_POOL_2D": _averaged,
    "BATCH_MATMUL": _matmul,
    "DIV": _div,
    "LOGISTIC": _fixed(tables.logistic_16),
    "MEAN": _mean,
    "MUL": _product,
    "RESIZE_BILINEAR": _bilinear,
    "RSQRT": _rsqrt,
    "SOFTMAX": _softmax,
    "SQRT": _sqrt,
    "TANH": _fixed(tables.tanh_16),
}
