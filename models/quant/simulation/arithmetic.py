# ruff: noqa: ARG005 - every builder has one signature, whatever it needs of it
"""Operations of a TFLite graph in TensorFlow, over batches: the arithmetic alone, which rounds nothing.

Shapes are the graph's own with one axis in front, the batch: a tensor of shape [1, h, w, c] is [N, 1, h, w, c] here.
So a graph may reshape and transpose its own first axis as it likes. Constants have no such axis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf

from models.errors import QuantizationError
from models.quant.scales import WEIGHTED
from models.quant.simulation.node import Node

__all__ = ["ACTIVATIONS", "Arithmetic", "arithmetic", "known_operations", "product"]

Arithmetic = Callable[[Mapping[int, tf.Tensor]], tuple[tf.Tensor, ...]]
"""From all inputs by position, computed ones [N, ...] and constants, to the outputs [N, ...]."""

Builder = Callable[[Node], Arithmetic]
Finish = Callable[..., tf.Tensor]

ACTIVATIONS: Mapping[int, Callable[[tf.Tensor], tf.Tensor]] = {
    1: tf.nn.relu,
    2: lambda x: tf.clip_by_value(x, -1.0, 1.0),
    3: tf.nn.relu6,
    4: tf.tanh,
}
"""Fused activations by the schema's number."""

_PADDING = ("SAME", "VALID")
_MUCH = 1 << 18


def known_operations() -> frozenset[str]:
    """Return the names of the operations that can be simulated."""
    return frozenset(_BUILDERS)


def arithmetic(node: Node, *, activate: bool = True) -> Arithmetic:
    """Return the arithmetic of an operation.

    Args:
        node: the operation.
        activate: whether its fused activation is applied.

    Raises:
        QuantizationError: the operation is not among those that can be simulated.
    """
    builder = _BUILDERS.get(node.kind)
    if builder is None:
        raise QuantizationError(
            f"{node.kind} (operation {node.op.index}, {node.op.name!r}) cannot be simulated;"
            f" known are {', '.join(sorted(_BUILDERS))}"
        )
    body = builder(node)
    if not activate or not node.activation or builder is _weighted:
        return body
    if node.activation not in ACTIVATIONS:
        raise QuantizationError(f"{node.kind} (operation {node.op.index}): unknown activation {node.activation}")
    function = ACTIVATIONS[node.activation]
    return lambda xs: tuple(function(y) for y in body(xs))


def _out(node: Node, y: tf.Tensor) -> tf.Tensor:
    return tf.reshape(y, (-1, *node.output_shapes[0]))


def _images(node: Node, x: tf.Tensor, position: int = 0) -> tf.Tensor:
    """Return [N, n, h, w, c] as [N * n, h, w, c]."""
    return tf.reshape(x, (-1, *node.shapes[position][1:]))


def product(node: Node, x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor, finish: Finish, *extra: Any) -> tf.Tensor:
    """Return an operation that has weights: product, bias and what follows, as one function of TensorFlow.

    Args:
        node: CONV_2D, DEPTHWISE_CONV_2D, FULLY_CONNECTED or TRANSPOSE_CONV.
        x: its input, float32 [N, ...].
        kernel: as the graph stores it, float32.
        bias: float32, one for each output channel.
        finish: an activation, or rounding; a function of the module, since one trace serves all that have it.
        extra: more arguments of ``finish``: tensors.
    """
    dense = node.kind == "FULLY_CONNECTED"
    images = tf.reshape(x, (-1, node.shapes[1][1])) if dense else _images(node, x, WEIGHTED[node.kind].source)
    if node.kind == "TRANSPOSE_CONV":
        return _out(node, finish(tf.nn.bias_add(_transposed(node, images, kernel), bias), *extra))
    o = node.options
    how = () if dense else ((o.strideH, o.strideW), _PADDING[o.padding], (o.dilationHFactor, o.dilationWFactor))
    return _out(node, _traced(node.kind, how, finish)(images, kernel, bias, *extra))


@cache
def _traced(kind: str, how: tuple[Any, ...], finish: Finish) -> Any:
    """Return product, bias and finish as one function: traced once for all operations of these options."""

    def run(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor, *extra: tf.Tensor) -> tf.Tensor:
        return finish(tf.nn.bias_add(_PRODUCTS[kind](x, kernel, *how), bias), *extra)

    return _Traced(run, 2 if kind == "FULLY_CONNECTED" else 4)


class _Traced:
    """A function of a product's arguments, traced for each number of further ones: their shapes are left open."""

    def __init__(self, run: Callable[..., tf.Tensor], rank: int) -> None:
        self._run, self._rank = run, rank
        self._by_count: dict[int, Callable[..., tf.Tensor]] = {}

    def __call__(self, *arguments: tf.Tensor) -> tf.Tensor:
        if not tf.executing_eagerly() or arguments[0].shape.num_elements() < _MUCH:
            return self._run(*arguments)  # a call costs more than it saves
        count = len(arguments)
        if count not in self._by_count:
            ranks: list[int | None] = [self._rank, self._rank, 1, *[None] * (count - 3)]
            free = [tf.TensorSpec(None if rank is None else (None,) * rank, tf.float32) for rank in ranks]
            traced = tf.function(self._run, input_signature=free, autograph=False)
            traced._omit_frequent_tracing_warning = True  # noqa: SLF001 - a few functions on purpose, each traced once
            self._by_count[count] = traced
        return self._by_count[count](*arguments)


def _conv(x: tf.Tensor, kernel: tf.Tensor, strides: Any, padding: str, dilations: Any) -> tf.Tensor:
    return tf.nn.conv2d(x, tf.transpose(kernel, (1, 2, 3, 0)), strides, padding, dilations=dilations)


def _depthwise(x: tf.Tensor, kernel: tf.Tensor, strides: Any, padding: str, dilations: Any) -> tf.Tensor:
    sizes = tf.shape(kernel)
    shaped = tf.reshape(kernel, (sizes[1], sizes[2], tf.shape(x)[-1], -1))
    return tf.nn.depthwise_conv2d(x, shaped, (1, *strides, 1), padding, dilations=dilations)


def _dense(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    return tf.linalg.matmul(x, kernel, transpose_b=True)


def _transposed(node: Node, images: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    o = node.options
    shape = tf.concat([tf.shape(images)[:1], node.output_shapes[0][1:]], 0)
    strides = (o.strideH, o.strideW)
    return tf.nn.conv2d_transpose(images, tf.transpose(kernel, (1, 2, 0, 3)), shape, strides, _PADDING[o.padding])


_PRODUCTS: Mapping[str, Callable[..., tf.Tensor]] = {
    "CONV_2D": _conv, "DEPTHWISE_CONV_2D": _depthwise, "FULLY_CONNECTED": _dense,
}  # fmt: skip


def _weighted(node: Node) -> Arithmetic:
    source, bias = WEIGHTED[node.kind].source, WEIGHTED[node.kind].bias
    finish = ACTIVATIONS.get(node.activation, _identity)
    none = tf.zeros(node.output_shapes[0][-1])
    return lambda xs: (product(node, xs[source], xs[1], xs.get(bias, none), finish),)


def _identity(x: tf.Tensor) -> tf.Tensor:
    return x


def _aligned(node: Node, xs: Mapping[int, tf.Tensor], *positions: int) -> list[tf.Tensor]:
    """Return inputs that broadcast as the graph's do: computed ones of a lower rank get ones behind the batch."""
    rank = max(len(node.shapes[position]) for position in positions)
    found = []
    for position in positions:
        x, shape = xs[position], node.shapes[position]
        if position not in node.constants and len(shape) < rank:
            x = tf.reshape(x, (-1, *(1,) * (rank - len(shape)), *shape))
        found.append(x)
    return found


def _binary(function: Callable[[Any, Any], tf.Tensor]) -> Builder:
    return lambda node: lambda xs: (function(*_aligned(node, xs, 0, 1)),)


def _unary(function: Callable[[tf.Tensor], tf.Tensor]) -> Builder:
    return lambda node: lambda xs: (function(xs[0]),)


def _pool(function: Callable[..., tf.Tensor]) -> Builder:
    def build(node: Node) -> Arithmetic:
        o = node.options
        size, strides = (o.filterHeight, o.filterWidth), (o.strideH, o.strideW)
        return lambda xs: (_out(node, function(_images(node, xs[0]), size, strides, _PADDING[o.padding])),)

    return build


def _matmul(node: Node) -> Arithmetic:
    flips = {"transpose_a": bool(node.options.adjX), "transpose_b": bool(node.options.adjY)}
    return lambda xs: (tf.linalg.matmul(*_aligned(node, xs, 0, 1), **flips),)


def _resize(operation: Callable[..., tf.Tensor]) -> Builder:
    def build(node: Node) -> Arithmetic:
        size = node.output_shapes[0][1:3]
        flags = {
            "align_corners": bool(node.options.alignCorners), "half_pixel_centers": bool(node.options.halfPixelCenters)
        }  # fmt: skip
        return lambda xs: (_out(node, operation(images=_images(node, xs[0]), size=size, **flags)),)

    return build


def _numbers(node: Node, position: int) -> list[int]:
    """Return a constant input as a list of integers.

    Raises:
        QuantizationError: it is computed by the graph itself, so that shapes are not known.
    """
    if position not in node.constants:
        raise QuantizationError(
            f"{node.kind} (operation {node.op.index}) computes its own shapes or indices; export fixed shapes"
        )
    return [int(number) for number in np.ravel(node.constants[position])]


def _axis(axis: int, rank: int) -> int:
    """Return an axis of the graph as one behind the batch."""
    return axis % rank + 1 if rank else 0


def _reduce(function: Callable[..., tf.Tensor]) -> Builder:
    def build(node: Node) -> Arithmetic:
        axes = [_axis(axis, len(node.shapes[0])) for axis in _numbers(node, 1)]
        return lambda xs: (_out(node, function(xs[0], axes)),)

    return build


def _reshape(node: Node) -> Arithmetic:
    return lambda xs: (_out(node, xs[0]),)


def _transpose(node: Node) -> Arithmetic:
    order = [0, *(axis + 1 for axis in _numbers(node, 1))]
    return lambda xs: (tf.transpose(xs[0], order),)


def _pad(node: Node) -> Arithmetic:
    pairs = [(0, 0), *np.asarray(node.constants[1]).reshape(-1, 2).tolist()] if _numbers(node, 1) else [(0, 0)]
    if node.kind == "MIRROR_PAD":
        mode = ("REFLECT", "SYMMETRIC")[node.options.mode]
        return lambda xs: (tf.pad(xs[0], pairs, mode),)
    if node.kind == "PADV2":
        return lambda xs: (tf.pad(xs[0], pairs, constant_values=tf.reshape(xs[2], ())),)
    return lambda xs: (tf.pad(xs[0], pairs),)


def _rows(xs: Mapping[int, tf.Tensor], node: Node) -> tf.Tensor:
    return tf.shape(xs[node.positions[0]])[0]


def _spread(node: Node, xs: Mapping[int, tf.Tensor], position: int) -> tf.Tensor:
    """Return an input with the batch in front, also if it is a constant."""
    x = xs[position]
    if position not in node.constants:
        return x
    return tf.tile(x[None], [_rows(xs, node), *(1,) * len(node.shapes[position])])


def _concat(node: Node) -> Arithmetic:
    axis = _axis(node.options.axis, len(node.output_shapes[0]))
    count = len(node.op.inputs)
    return lambda xs: (tf.concat([_spread(node, xs, position) for position in range(count)], axis),)


def _pack(node: Node) -> Arithmetic:
    axis, count = _axis(node.options.axis, len(node.output_shapes[0])), len(node.op.inputs)
    return lambda xs: (tf.stack([_spread(node, xs, position) for position in range(count)], axis),)


def _unpack(node: Node) -> Arithmetic:
    axis = _axis(node.options.axis, len(node.shapes[0]))
    return lambda xs: tuple(tf.unstack(xs[0], node.shapes[0][axis - 1], axis))


def _split(node: Node) -> Arithmetic:
    source, place = (0, 2) if node.kind == "SPLIT_V" else (1, 0)
    axis = _axis(_numbers(node, place)[0], len(node.shapes[source]))
    sizes = [shape[axis - 1] for shape in node.output_shapes]
    return lambda xs: tuple(tf.split(xs[source], sizes, axis))


def _slice(node: Node) -> Arithmetic:
    begin, size = _numbers(node, 1), node.output_shapes[0]
    return lambda xs: (tf.slice(xs[0], (0, *begin), (-1, *size)),)


def _strided(node: Node) -> Arithmetic:
    begin, end, strides = (_numbers(node, position) for position in (1, 2, 3))
    o = node.options
    masks = {
        "begin_mask": o.beginMask << 1 | 1, "end_mask": o.endMask << 1 | 1, "ellipsis_mask": o.ellipsisMask << 1,
        "new_axis_mask": o.newAxisMask << 1, "shrink_axis_mask": o.shrinkAxisMask << 1,
    }  # fmt: skip
    return lambda xs: (tf.strided_slice(xs[0], [0, *begin], [0, *end], [1, *strides], **masks),)


def _gather(node: Node) -> Arithmetic:
    if node.options.batchDims:
        raise QuantizationError(f"GATHER (operation {node.op.index}) with batch dimensions cannot be simulated")
    indices = np.asarray(node.constants[1]) if _numbers(node, 1) else np.zeros(0, np.int32)
    axis = _axis(node.options.axis, len(node.shapes[0]))
    return lambda xs: (tf.gather(xs[0], indices, axis=axis),)


def _tile(node: Node) -> Arithmetic:
    counts = [1, *_numbers(node, 1)]
    return lambda xs: (tf.tile(xs[0], counts),)


def _broadcast(node: Node) -> Arithmetic:
    shape = node.output_shapes[0]
    ones = (1,) * (len(shape) - len(node.shapes[0]))
    factors = [1, *(o // i for o, i in zip(shape, (*ones, *node.shapes[0]), strict=True))]
    return lambda xs: (tf.tile(tf.reshape(xs[0], (-1, *ones, *node.shapes[0])), factors),)


def _blocks(function: Callable[..., tf.Tensor]) -> Builder:
    return lambda node: lambda xs: (_out(node, function(_images(node, xs[0]), node.options.blockSize)),)


def _arg(function: Callable[..., tf.Tensor]) -> Builder:
    def build(node: Node) -> Arithmetic:
        axis = _axis(_numbers(node, 1)[0], len(node.shapes[0]))
        return lambda xs: (function(xs[0], axis, output_type=tf.dtypes.as_dtype(node.output_dtypes[0])),)

    return build


def _select(node: Node) -> Arithmetic:
    return lambda xs: (tf.where(*_aligned(node, xs, 0, 1, 2)),)


def _softmax(node: Node) -> Arithmetic:
    beta = float(node.options.beta)
    return lambda xs: (tf.nn.softmax(xs[0] if beta == 1 else xs[0] * beta),)


def _gelu(node: Node) -> Arithmetic:
    approximate = bool(node.options.approximate)
    return lambda xs: (tf.nn.gelu(xs[0], approximate),)


def _leaky(node: Node) -> Arithmetic:
    alpha = float(node.options.alpha)
    return lambda xs: (tf.nn.leaky_relu(xs[0], alpha),)


def _prelu(x: tf.Tensor, alpha: tf.Tensor) -> tf.Tensor:
    return tf.nn.relu(x) - alpha * tf.nn.relu(-x)


def _cast(node: Node) -> Arithmetic:
    return lambda xs: (tf.cast(xs[0], tf.dtypes.as_dtype(node.output_dtypes[0])),)


_BUILDERS: Mapping[str, Builder] = {
    **dict.fromkeys((*_PRODUCTS, "TRANSPOSE_CONV"), _weighted),
    "ABS": _unary(tf.abs),
    "ADD": _binary(tf.add),
    "ARG_MAX": _arg(tf.argmax),
    "ARG_MIN": _arg(tf.argmin),
    "AVERAGE_POOL_2D": _pool(tf.nn.avg_pool2d),
    "BATCH_MATMUL": _matmul,
    "BROADCAST_TO": _broadcast,
    "CAST": _cast,
    "CEIL": _unary(tf.math.ceil),
    "CONCATENATION": _concat,
    "COS": _unary(tf.cos),
    "DEPTH_TO_SPACE": _blocks(tf.nn.depth_to_space),
    "DEQUANTIZE": _unary(lambda x: tf.cast(x, tf.float32)),
    "DIV": _binary(tf.divide),
    "ELU": _unary(tf.nn.elu),
    "EQUAL": _binary(tf.equal),
    "EXP": _unary(tf.exp),
    "EXPAND_DIMS": _reshape,
    "FLOOR": _unary(tf.floor),
    "GATHER": _gather,
    "GELU": _gelu,
    "GREATER": _binary(tf.greater),
    "GREATER_EQUAL": _binary(tf.greater_equal),
    "HARD_SWISH": _unary(lambda x: x * tf.nn.relu6(x + 3.0) / 6.0),
    "L2_NORMALIZATION": _unary(lambda x: tf.math.l2_normalize(x, -1, 1e-12)),
    "LEAKY_RELU": _leaky,
    "LESS": _binary(tf.less),
    "LESS_EQUAL": _binary(tf.less_equal),
    "LOG": _unary(tf.math.log),
    "LOGICAL_AND": _binary(tf.logical_and),
    "LOGICAL_NOT": _unary(tf.logical_not),
    "LOGICAL_OR": _binary(tf.logical_or),
    "LOGISTIC": _unary(tf.sigmoid),
    "MAXIMUM": _binary(tf.maximum),
    "MAX_POOL_2D": _pool(tf.nn.max_pool2d),
    "MEAN": _reduce(tf.reduce_mean),
    "MINIMUM": _binary(tf.minimum),
    "MIRROR_PAD": _pad,
    "MUL": _binary(tf.multiply),
    "NEG": _unary(tf.negative),
    "NOT_EQUAL": _binary(tf.not_equal),
    "PACK": _pack,
    "PAD": _pad,
    "PADV2": _pad,
    "POW": _binary(tf.pow),
    "PRELU": _binary(_prelu),
    "REDUCE_MAX": _reduce(tf.reduce_max),
    "REDUCE_MIN": _reduce(tf.reduce_min),
    "RELU": _unary(tf.nn.relu),
    "RELU6": _unary(tf.nn.relu6),
    "RELU_0_TO_1": _unary(lambda x: tf.clip_by_value(x, 0.0, 1.0)),
    "RELU_N1_TO_1": _unary(lambda x: tf.clip_by_value(x, -1.0, 1.0)),
    "RESHAPE": _reshape,
    "RESIZE_BILINEAR": _resize(tf.raw_ops.ResizeBilinear),
    "RESIZE_NEAREST_NEIGHBOR": _resize(tf.raw_ops.ResizeNearestNeighbor),
    "ROUND": _unary(tf.round),
    "RSQRT": _unary(tf.math.rsqrt),
    "SELECT": _select,
    "SELECT_V2": _select,
    "SIN": _unary(tf.sin),
    "SLICE": _slice,
    "SOFTMAX": _softmax,
    "SPACE_TO_DEPTH": _blocks(tf.nn.space_to_depth),
    "SPLIT": _split,
    "SPLIT_V": _split,
    "SQRT": _unary(tf.sqrt),
    "SQUARE": _unary(tf.square),
    "SQUARED_DIFFERENCE": _binary(tf.math.squared_difference),
    "SQUEEZE": _reshape,
    "STRIDED_SLICE": _strided,
    "SUB": _binary(tf.subtract),
    "SUM": _reduce(tf.reduce_sum),
    "TANH": _unary(tf.tanh),
    "TILE": _tile,
    "TRANSPOSE": _transpose,
    "UNPACK": _unpack,
}
