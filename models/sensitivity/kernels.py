# ruff: noqa: ARG001, ARG005 - every builder has one signature, whatever it needs of it
"""Operations of a TFLite graph in TensorFlow, over batches: what a simulation of any float graph is made of.

Owns the arithmetic of each operation and of its fused activation; shapes are the graph's, the first axis is the batch.
Rounds nothing. Operations that are not listed are refused by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph, GraphOp
from models.errors import QuantizationError
from models.quant import editing

__all__ = ["Kernel", "kernels_of"]

_ACTIVATIONS: dict[int, Callable[[tf.Tensor], tf.Tensor]] = {
    0: lambda x: x,
    1: tf.nn.relu,
    2: lambda x: tf.clip_by_value(x, -1.0, 1.0),
    3: tf.nn.relu6,
    4: tf.tanh,
}
_PADDING = ("SAME", "VALID")
_ACTIVATED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D"})  # these apply it themselves


@dataclass(frozen=True)
class Kernel:
    """One operation, ready to run.

    Attributes:
        op: the operation.
        inputs: tensors of the graph that it reads and that move, in order.
        constants: its constant inputs by position, as NumPy arrays.
        run: from its moving inputs [B, ...] and its constants to its output [B, ...].
    """

    op: GraphOp
    inputs: tuple[int, ...]
    constants: dict[int, NDArray[Any]]
    run: Callable[[Sequence[tf.Tensor], dict[int, Any]], tf.Tensor]


def kernels_of(float_tflite: bytes) -> tuple[Graph, tuple[Kernel, ...]]:
    """Return the graph's view and a kernel for each of its operations.

    Raises:
        QuantizationError: an operation is not among those that can be simulated.
    """
    graph, model = Graph.parse(float_tflite), editing.read_model(float_tflite)
    return graph, tuple(_kernel(op, graph, model) for op in graph.ops)


def _kernel(op: GraphOp, graph: Graph, model: Any) -> Kernel:
    if op.op not in _BUILDERS or len(op.outputs) != 1:
        known = ", ".join(sorted(_BUILDERS))
        raise QuantizationError(f"{op.op} (operation {op.index}) cannot be simulated; known are {known}")
    options = model.subgraphs[0].operators[op.index].builtinOptions
    constants = {
        position: _constant(graph, model, index)
        for position, index in enumerate(op.inputs)
        if index >= 0 and graph.tensors[index].constant
    }
    moving = tuple(i for i in op.inputs if i >= 0 and not graph.tensors[i].constant)
    shape = graph.tensors[op.outputs[0]].shape
    body = _BUILDERS[op.op](options, shape)
    if op.op in _ACTIVATED:
        return Kernel(op, moving, constants, body)
    activation = _ACTIVATIONS[getattr(options, "fusedActivationFunction", 0)]
    return Kernel(op, moving, constants, lambda xs, c: activation(body(xs, c)))


def _constant(graph: Graph, model: Any, index: int) -> NDArray[Any]:
    tensor = graph.tensors[index]
    stored = bytes(model.buffers[model.subgraphs[0].tensors[index].buffer].data)
    return np.frombuffer(stored, np.dtype(tensor.dtype)).reshape(tensor.shape)


Body = Callable[[Sequence[tf.Tensor], dict[int, Any]], tf.Tensor]


def _conv(options: Any, shape: tuple[int, ...]) -> Body:
    strides, dilations = (options.strideH, options.strideW), (options.dilationHFactor, options.dilationWFactor)
    fused = _fused_conv(strides, _PADDING[options.padding], dilations, options.fusedActivationFunction)

    def run(xs: Sequence[tf.Tensor], c: dict[int, Any]) -> tf.Tensor:
        return fused(xs[0], tf.transpose(c[1], (1, 2, 3, 0)), c.get(2, tf.zeros(c[1].shape[0])))

    return run


@cache
def _fused_conv(strides: tuple[int, int], padding: str, dilations: tuple[int, int], activation: int) -> Any:
    """Return convolution, bias and activation as one function: traced once for all operations of these options."""
    free = [tf.TensorSpec((None,) * rank, tf.float32) for rank in (4, 4, 1)]

    def run(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
        made = tf.nn.bias_add(tf.nn.conv2d(x, kernel, strides, padding, dilations=dilations), bias)
        return _ACTIVATIONS[activation](made)

    return tf.function(run, input_signature=free, autograph=False)


def _depthwise(options: Any, shape: tuple[int, ...]) -> Body:
    strides = (1, options.strideH, options.strideW, 1)
    dilations = (options.dilationHFactor, options.dilationWFactor)
    activation = _ACTIVATIONS[options.fusedActivationFunction]

    def run(xs: Sequence[tf.Tensor], c: dict[int, Any]) -> tf.Tensor:
        _, height, width, channels = c[1].shape
        inputs = int(xs[0].shape[-1])
        kernel = tf.reshape(c[1], (height, width, inputs, channels // inputs))
        y = tf.nn.depthwise_conv2d(xs[0], kernel, strides, _PADDING[options.padding], dilations=dilations)
        return activation(tf.nn.bias_add(y, c[2]) if 2 in c else y)

    return run


def _dense(options: Any, shape: tuple[int, ...]) -> Body:
    def run(xs: Sequence[tf.Tensor], c: dict[int, Any]) -> tf.Tensor:
        y = tf.linalg.matmul(tf.reshape(xs[0], (-1, c[1].shape[1])), c[1], transpose_b=True)
        y = y + c[2] if 2 in c else y
        return tf.reshape(y, (-1, *shape[1:]))

    return run


def _pool(kind: Callable[..., tf.Tensor]) -> Callable[[Any, tuple[int, ...]], Body]:
    def build(options: Any, shape: tuple[int, ...]) -> Body:
        size, strides = (options.filterHeight, options.filterWidth), (options.strideH, options.strideW)
        return lambda xs, c: kind(xs[0], size, strides, _PADDING[options.padding])

    return build


def _binary(function: Callable[[Any, Any], tf.Tensor]) -> Callable[[Any, tuple[int, ...]], Body]:
    def build(options: Any, shape: tuple[int, ...]) -> Body:
        def run(xs: Sequence[tf.Tensor], c: dict[int, Any]) -> tf.Tensor:
            if not c:
                return function(xs[0], xs[1])
            return function(c[0], xs[0]) if 0 in c else function(xs[0], c[1])

        return run

    return build


def _unary(function: Callable[[tf.Tensor], tf.Tensor]) -> Callable[[Any, tuple[int, ...]], Body]:
    return lambda options, shape: lambda xs, c: function(xs[0])


def _matmul(options: Any, shape: tuple[int, ...]) -> Body:
    flips = {"transpose_a": bool(options.adjX), "transpose_b": bool(options.adjY)}

    def run(xs: Sequence[tf.Tensor], c: dict[int, Any]) -> tf.Tensor:
        left, right = (c.get(0, xs[0]), xs[-1] if 0 in c or len(xs) > 1 else c[1])
        return tf.linalg.matmul(left, right, **flips)

    return run


def _nearest(options: Any, shape: tuple[int, ...]) -> Body:
    return lambda xs, c: tf.raw_ops.ResizeNearestNeighbor(
        images=xs[0], size=c[1], align_corners=bool(options.alignCorners),
        half_pixel_centers=bool(options.halfPixelCenters),
    )  # fmt: skip


def _bilinear(options: Any, shape: tuple[int, ...]) -> Body:
    return lambda xs, c: tf.raw_ops.ResizeBilinear(
        images=xs[0], size=c[1], align_corners=bool(options.alignCorners),
        half_pixel_centers=bool(options.halfPixelCenters),
    )  # fmt: skip


_BUILDERS: dict[str, Callable[[Any, tuple[int, ...]], Body]] = {
    "ADD": _binary(tf.add),
    "AVERAGE_POOL_2D": _pool(tf.nn.avg_pool2d),
    "BATCH_MATMUL": _matmul,
    "CONCATENATION": lambda options, shape: lambda xs, c: tf.concat(list(xs), options.axis),
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _dense,
    "LOGISTIC": _unary(tf.sigmoid),
    "MAX_POOL_2D": _pool(tf.nn.max_pool2d),
    "MEAN": lambda options, shape: (
        lambda xs, c: tf.reduce_mean(xs[0], tuple(int(a) for a in np.ravel(c[1])), bool(options.keepDims))
    ),
    "MUL": _binary(tf.multiply),
    "PAD": lambda options, shape: lambda xs, c: tf.pad(xs[0], c[1]),
    "RELU": _unary(tf.nn.relu),
    "RELU6": _unary(tf.nn.relu6),
    "RESHAPE": lambda options, shape: lambda xs, c: tf.reshape(xs[0], (-1, *shape[1:])),
    "RESIZE_BILINEAR": _bilinear,
    "RESIZE_NEAREST_NEIGHBOR": _nearest,
    "RSQRT": _unary(tf.math.rsqrt),
    "SOFTMAX": lambda options, shape: lambda xs, c: tf.nn.softmax(xs[0] * options.beta),
    "SQRT": _unary(tf.sqrt),
    "SUB": _binary(tf.subtract),
    "TANH": _unary(tf.tanh),
    "TRANSPOSE": lambda options, shape: lambda xs, c: tf.transpose(xs[0], c[1]),
}
