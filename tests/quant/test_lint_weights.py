"""The lint tells weights apart, not only activations."""

from __future__ import annotations

import pytest

from firmware_bridge.device.graph import Graph
from models.quant.lint import lint
from models.quant.plan import Precision, PrecisionPlan
from models.quant.produce import produce
from models.quant.ranges import Ranges
from tests.target.one_operation import one_operation


def found(data: bytes, precision: Precision) -> tuple[str, ...]:
    return lint(Graph.parse(data), PrecisionPlan(precision)).problems


@pytest.mark.parametrize("precision", list(Precision))
def test_the_precisions_say_how_many_bits_a_weight_has(precision: Precision):
    assert precision.weight_dtype.endswith(str(precision.weight_bits))


def test_4_bit_weights_under_a_plan_of_8_are_a_problem():
    assert found(one_operation("CONV_2D", "INT8", "INT8")[0], Precision.INT8) == ()
    [problem] = found(one_operation("CONV_2D", "INT8", "INT4")[0], Precision.INT8)
    assert "INT4 weights, the plan says int8 (INT8 weights)" in problem


def test_integer_weights_of_a_hybrid_kernel_under_a_float_plan_are_a_problem():
    [problem] = found(one_operation("FULLY_CONNECTED", "FLOAT32", "INT8")[0], Precision.FP32)
    assert "INT8 weights, the plan says fp32" in problem


def test_half_floats_and_floats_are_told_apart(float_graph: bytes):
    half = produce(float_graph, PrecisionPlan(Precision.FP16), Ranges({}, "none"))
    assert found(half, Precision.FP16) == ()
    assert any("FLOAT16 weights, the plan says fp32" in line for line in found(half, Precision.FP32))
    assert any("FLOAT32 weights, the plan says fp16" in line for line in found(float_graph, Precision.FP16))


def test_a_matrix_product_with_a_scale_a_column_is_a_problem_because_runtimes_compute_zeros():
    assert found(one_operation("BATCH_MATMUL", "INT8", "INT8")[0], Precision.INT8) == ()
    [problem] = found(one_operation("BATCH_MATMUL", "INT8", "INT8", per_channel=True)[0], Precision.INT8)
    assert "4 scales for its weights" in problem
