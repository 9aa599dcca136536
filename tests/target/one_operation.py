"""Graphs of one operation with constant weights, each type of activations and weights that a file can have."""

from __future__ import annotations

import numpy as np

from tests.target.conftest import Builder

CHANNELS, FILTERS = 8, 4
_SHAPE = {"FULLY_CONNECTED": (24, CHANNELS), "BATCH_MATMUL": (1, 24, CHANNELS)}
_LIMIT = {"INT4": 7, "INT8": 127}


def packed(values: np.ndarray, dtype: str) -> np.ndarray:
    """Weights as they are stored: 4-bit values in pairs, the first one in the low half."""
    if dtype != "INT4":
        return values.astype(np.int8)
    low, high = values.reshape(-1)[::2] & 15, values.reshape(-1)[1::2] & 15
    return (low | high << 4).astype(np.uint8)


def one_operation(
    op: str, activations: str, weights: str, *, per_channel: bool | None = None
) -> tuple[bytes, np.ndarray]:
    """A graph x -> op -> y, and the real matrix or row that it multiplies with.

    Matrix products have one scale for their weights, as runtimes compute, other operations one a channel.
    """
    if per_channel is None:
        per_channel = op != "BATCH_MATMUL"
    b, rng = Builder(), np.random.default_rng(3)
    shape = _SHAPE.get(op, (1, 4, 6, CHANNELS))
    width = CHANNELS if op == "DEPTHWISE_CONV_2D" else FILTERS
    real_shape = (1, CHANNELS) if op == "DEPTHWISE_CONV_2D" else (FILTERS, CHANNELS)
    stored = rng.integers(-_LIMIT[weights], _LIMIT[weights] + 1, real_shape)
    scales = np.linspace(0.01, 0.03, width) if per_channel else np.full(width, 0.02)
    real = stored * (scales if op == "DEPTHWISE_CONV_2D" else scales[:, None])
    stored_shape = {
        "FULLY_CONNECTED": (FILTERS, CHANNELS), "BATCH_MATMUL": (1, CHANNELS, FILTERS),
        "DEPTHWISE_CONV_2D": (1, 1, 1, CHANNELS),
    }.get(op, (FILTERS, 1, 1, CHANNELS))  # fmt: skip
    values = stored.T.copy() if op == "BATCH_MATMUL" else stored
    w_scales = tuple(map(float, scales)) if per_channel else (0.02,)
    x_scale, y_scale = {"FLOAT32": ((), ()), "INT8": ((0.03,), (0.01,)), "INT16": ((1e-4,), (5e-5,))}[activations]
    x = b.tensor("x", activations, shape, x_scale)
    w = b.tensor("w", weights, stored_shape, w_scales, data=packed(values, weights), axis=3 if width == 8 else 0)
    y = b.tensor("y", activations, (*shape[:-1], width), y_scale)
    bias_type = {"FLOAT32": "FLOAT32", "INT8": "INT32", "INT16": "INT64"}[activations]
    bias_scales = tuple(x_scale[0] * s for s in w_scales) if x_scale else ()
    zeros = np.zeros(width, {"FLOAT32": np.float32, "INT32": np.int32, "INT64": np.int64}[bias_type])
    one_by_one = {"strideW": 1, "strideH": 1, "padding": 1}
    match op:
        case "BATCH_MATMUL":
            b.op(op, [x, w], [y], "BatchMatMulOptions", 4)
        case "FULLY_CONNECTED":
            b.op(op, [x, w, -1], [y], "FullyConnectedOptions", 9)
        case "TRANSPOSE_CONV":
            size = b.tensor("size", "INT32", (4,), data=np.array([1, 4, 6, FILTERS], np.int32))
            b.op(op, [size, w, x], [y], "TransposeConvOptions", 3, **one_by_one)
        case _:
            bias = b.tensor("bias", bias_type, (width,), bias_scales, data=zeros)
            kind = "DepthwiseConv2DOptions" if width == 8 else "Conv2DOptions"
            extra = {"depthMultiplier": 1} if width == 8 else {}
            b.op(op, [x, w, bias], [y], kind, 6, **one_by_one, **extra, dilationWFactor=1, dilationHFactor=1)
    return b.finish({"x": x}, {"y": y}), real
