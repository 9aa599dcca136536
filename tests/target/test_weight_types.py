"""The op tables' third part: kernels that read weights of an unusual type are listed where they compute right."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest

from firmware_bridge.device.graph import Graph
from firmware_bridge.device.isolated import IsolatedRuntime
from firmware_bridge.device.runtime import Kernels, LiteRt, op_table
from firmware_bridge.errors import BridgeError
from tests.target.conftest import Builder
from tests.target.one_operation import CHANNELS, FILTERS, one_operation

_MIN_DB = {"FLOAT32": 36.0, "INT8": 34.0, "INT16": 40.0}  # a hybrid kernel rounds its activations to 8 bits


def sqnr_db(op: str, activations: str, weights: str, runtime: str, kernels: Kernels) -> float:
    """How right one operation is, against its arithmetic in doubles; minus infinity where it cannot run."""
    model, real = one_operation(op, activations, weights)
    graph = Graph.parse(model)
    values = np.random.default_rng(4).normal(size=graph.inputs[0].shape).astype(np.float32)
    held = graph.inputs[0].quantize(values)
    x = graph.inputs[0].dequantize(held).astype(float)
    exact = x * real if op == "DEPTHWISE_CONV_2D" else x @ real.T
    try:
        with _session(model, runtime, kernels) as session:
            got = graph.outputs[0].dequantize(session.run({"x": held})["y"]).astype(float)
    except BridgeError:
        return float("-inf")
    noise = float(np.sum((exact - got) ** 2))
    return 10 * np.log10(float(np.sum(exact**2)) / noise) if np.isfinite(noise) and noise else float("-inf")


def _session(model: bytes, runtime: str, kernels: Kernels):
    """TensorFlow may be in this process, which tflite-runtime cannot share."""
    if runtime == "litert":
        return nullcontext(LiteRt().load(model, kernels))
    return IsolatedRuntime(runtime).load(model, kernels)


OPS = ("BATCH_MATMUL", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
UNUSUAL = (("INT8", "INT4"), ("INT16", "INT4"), ("FLOAT32", "INT4"), ("FLOAT32", "INT8"))


@pytest.mark.parametrize("runtime", ["litert", "tflite-runtime"])
@pytest.mark.parametrize(("activations", "weights"), UNUSUAL)
def test_weights_of_an_unusual_type_are_listed_exactly_where_both_kinds_of_kernels_compute_right(
    runtime, activations, weights
):
    kernel = f"{activations}:{weights}"
    listed = {entry.partition(":")[0] for entry in op_table(runtime) if entry.endswith(f":{kernel}")}
    right = {
        op
        for op in OPS
        if all(sqnr_db(op, activations, weights, runtime, kernels) >= _MIN_DB[activations] for kernels in Kernels)
    }
    assert right == listed


@pytest.mark.parametrize("op", OPS)
def test_the_name_of_an_operation_says_which_weights_its_kernel_reads(op):
    assert Graph.parse(one_operation(op, "INT8", "INT8")[0]).op_types == (f"{op}:INT8",)
    assert Graph.parse(one_operation(op, "INT8", "INT4")[0]).op_types == (f"{op}:INT8:INT4",)
    assert Graph.parse(one_operation(op, "FLOAT32", "INT8")[0]).op_types == (f"{op}:FLOAT32:INT8",)


def test_4_bit_weights_are_read_from_memory_at_half_the_bytes():
    four, eight = (Graph.parse(one_operation("CONV_2D", "INT8", weights)[0]).ops[0] for weights in ("INT4", "INT8"))
    assert (four.stored_weights, eight.stored_weights) == ("INT4", "INT8")
    assert eight.weight_bytes - four.weight_bytes == CHANNELS * FILTERS // 2


def test_half_floats_behind_a_conversion_are_told_from_floats_and_come_from_memory_as_floats(builder: Builder):
    from firmware_bridge.device.cost import cost
    from firmware_bridge.device.profile import BoardProfile

    values = np.ones((4, 1, 1, 8), np.float16)
    x = builder.tensor("x", "FLOAT32", (1, 4, 6, 8))
    half = builder.tensor("half", "FLOAT16", values.shape, data=values)
    whole = builder.tensor("whole", "FLOAT32", values.shape)
    bias = builder.tensor("bias", "FLOAT32", (4,), data=np.zeros(4, np.float32))
    y = builder.tensor("y", "FLOAT32", (1, 4, 6, 4))
    builder.op("DEQUANTIZE", [half], [whole], "DequantizeOptions", 3)
    builder.op("CONV_2D", [x, whole, bias], [y], "Conv2DOptions", 1, strideW=1, strideH=1, padding=1)
    graph = Graph.parse(builder.finish({"x": x}, {"y": y}))
    assert graph.op_types == ("CONV_2D:FLOAT32", "DEQUANTIZE:FLOAT16_FLOAT32")
    assert [op.stored_weights for op in graph.ops] == ["", "FLOAT16"]
    found = cost(graph, BoardProfile.load("ks100"))
    assert [item.dram_bytes for item in found.ops] == [0, 4 * values.size + 4 * 4]
