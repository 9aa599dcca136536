"""Float graphs as other people's converters write them: what they compute is what the integer graph computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from firmware_bridge.device.graph import Graph
from firmware_bridge.device.runtime import LiteRt
from models.errors import DataError
from models.quant import editing
from models.quant.feeds import Sample, samples_of
from models.quant.fidelity import fidelity
from models.quant.fitting import fit_for_quantizing
from models.quant.plan import STANDARD_PLANS
from models.quant.produce import produce
from models.quant.ptq import quantize_ptq

INT8, INT16 = STANDARD_PLANS["int8"], STANDARD_PLANS["int16"]


def _converted(function: Callable[..., Any], *specs: Any, static: bool = True) -> bytes:
    import tensorflow as tf

    module = tf.Module()
    module.f = tf.function(function, input_signature=list(specs))
    concrete = module.f.get_concrete_function()
    return tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert()


def _spec(*shape: int | None, dtype: str = "float32", name: str = "x") -> Any:
    import tensorflow as tf

    return tf.TensorSpec(shape, dtype, name=name)


def _convolution(channels: int = 6, **weights: np.ndarray) -> bytes:
    """One 3x3 convolution over four channels; ``kernel`` [3, 3, 4, channels] and ``bias`` [channels]."""
    import tensorflow as tf

    rng = np.random.default_rng(1)
    kernel = weights.get("kernel", rng.normal(size=(3, 3, 4, channels)).astype(np.float32) * 0.2)
    bias = weights.get("bias", np.zeros(channels, np.float32))

    def run(x):
        return {"y": tf.nn.bias_add(tf.nn.conv2d(x, tf.constant(kernel), 1, "VALID"), tf.constant(bias))}

    return _converted(run, _spec(1, 8, 8, 4))


@pytest.fixture(scope="module")
def noise() -> list[Sample]:
    rng = np.random.default_rng(2)
    return [Sample({"x": rng.uniform(-1, 1, (1, 8, 8, 4)).astype(np.float32)}) for _ in range(16)]


@pytest.mark.parametrize(("plan", "least_db"), [(INT8, 38.0), (INT16, 42.0)], ids=str)
@pytest.mark.parametrize("weight", [0.0, 1e-12, 1e-30])
def test_a_pruned_channel_keeps_its_bias(plan: Any, least_db: float, weight: float, noise: list[Sample]) -> None:
    kernel = np.random.default_rng(1).normal(size=(3, 3, 4, 6)).astype(np.float32) * 0.2
    kernel[..., 2], bias = weight, np.array([0, 0, 0.5, 0, 0, 0], np.float32)
    made = quantize_ptq(_convolution(kernel=kernel, bias=bias), plan, noise)
    assert made.outputs[0].sqnr_db > least_db
    output = LiteRt().load(made.model).graph.outputs[0]
    feed = {"x": Graph.parse(made.model).inputs[0].quantize(noise[0].feed["x"])}
    pruned = output.dequantize(LiteRt().load(made.model).run(feed)["y"])[..., 2]
    assert np.abs(pruned - 0.5).max() <= output.scale


@pytest.mark.parametrize("plan", [INT8, INT16], ids=lambda plan: plan.name)
def test_a_bias_far_above_the_weights_is_held_by_every_kind_of_layer(plan: Any) -> None:
    import tensorflow as tf

    rng = np.random.default_rng(3)

    def weights(*shape: int) -> Any:
        return tf.constant(rng.normal(size=shape).astype(np.float32) * 1e-8)

    def run(x):
        flat = tf.reshape(x, (1, 64))
        return {
            "conv": tf.nn.bias_add(tf.nn.conv2d(x, weights(1, 1, 4, 3), 1, "VALID"), [3.0, -70.0, 0.1]),
            "deep": tf.nn.bias_add(tf.nn.depthwise_conv2d(x, weights(3, 3, 4, 1), [1] * 4, "SAME"), [1, 9, -5, 0.0]),
            "full": tf.nn.bias_add(tf.matmul(flat, weights(64, 3)), [50.0, -2.0, 0.0]),
            "wide": tf.nn.bias_add(
                tf.nn.conv2d_transpose(x, weights(2, 2, 3, 4), (1, 8, 8, 3), 2, "SAME"), [4.0, -8.0, 1.0]
            ),
        }  # fmt: skip

    model = _converted(run, _spec(1, 4, 4, 4))
    given = [Sample({"x": rng.uniform(-1, 1, (1, 4, 4, 4)).astype(np.float32)}) for _ in range(8)]
    found = {output.name: output.sqnr_db for output in quantize_ptq(model, plan, given).outputs}
    assert min(found.values()) > 40, found


def test_operator_codes_in_the_older_field_alone_give_the_same_graph(noise: list[Sample]) -> None:
    model = editing.read_model(_convolution())
    for code in model.operatorCodes:
        code.deprecatedBuiltinCode, code.builtinCode = min(code.builtinCode, 127), 0
    old = editing.write_model(model)
    assert {code.builtinCode for code in editing.read_model(old).operatorCodes} != {0}
    assert quantize_ptq(old, INT8, noise).model == quantize_ptq(_convolution(), INT8, noise).model


def test_arithmetic_on_the_shape_of_a_dynamic_batch_is_folded(noise: list[Sample]) -> None:
    import tensorflow as tf

    weights = tf.constant(np.random.default_rng(4).normal(size=(256, 3)).astype(np.float32))

    def run(x):
        return {"y": tf.matmul(tf.reshape(x, (tf.shape(x)[0], 256)), weights)}

    model = _converted(run, _spec(None, 8, 8, 4))
    assert "SHAPE" in {op.op for op in Graph.parse(model).ops}
    made = quantize_ptq(model, INT8, noise)
    assert set(Graph.parse(made.model).op_types) == {"RESHAPE:INT8", "FULLY_CONNECTED:INT8"}
    assert made.outputs[0].sqnr_db > 30


def test_weights_that_two_layers_share_get_a_grid_for_each(noise: list[Sample]) -> None:
    import tensorflow as tf

    kernel = tf.constant(np.random.default_rng(5).normal(size=(1, 1, 4, 4)).astype(np.float32))
    bias = tf.constant(np.array([0.5, 0, -0.5, 1], np.float32))

    def run(x):
        once = tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias))
        return {"y": tf.nn.bias_add(tf.nn.conv2d(once * 30.0, kernel, 1, "SAME"), bias)}

    model = _converted(run, _spec(1, 8, 8, 4))
    read = [index for op in Graph.parse(model).ops for index in op.inputs if Graph.parse(model).tensors[index].constant]
    assert len(set(read)) < len(read)
    assert quantize_ptq(model, INT8, noise).outputs[0].sqnr_db > 30


@pytest.mark.parametrize("plan", [INT8, INT16], ids=lambda plan: plan.name)
def test_indices_are_fed_and_calibrated_as_integers(plan: Any) -> None:
    import tensorflow as tf

    rng = np.random.default_rng(6)
    table, weights = (tf.constant(rng.normal(size=shape).astype(np.float32)) for shape in ((10, 4), (4, 4)))
    model = _converted(lambda i: {"y": tf.matmul(tf.gather(table, i), weights)}, _spec(1, 5, dtype="int32", name="i"))
    given = [Sample({"i": rng.integers(0, 10, (1, 5))}) for _ in range(8)]
    made = quantize_ptq(model, plan, given)
    assert Graph.parse(made.model).inputs[0].dtype == "int32"
    assert made.outputs[0].sqnr_db > 30
    with pytest.raises(DataError, match="'i' holds float64 values that int32"):
        quantize_ptq(model, plan, [Sample({"i": np.full((1, 5), 0.5)})])


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "bool"])
@pytest.mark.parametrize("plan", [INT8, INT16], ids=lambda plan: plan.name)
def test_an_integer_input_stays_what_it_is(plan: Any, dtype: str) -> None:
    import tensorflow as tf

    rng = np.random.default_rng(8)
    weights = tf.constant(rng.normal(size=(6, 4)).astype(np.float32))
    model = _converted(
        lambda i: {"y": tf.matmul(tf.cast(i, tf.float32) * 0.01, weights)}, _spec(1, 6, dtype=dtype, name="i")
    )
    given = [Sample({"i": rng.integers(0, 2 if dtype == "bool" else 128, (1, 6)).astype(dtype)}) for _ in range(8)]
    made = quantize_ptq(model, plan, given)
    assert Graph.parse(made.model).inputs[0].dtype == dtype
    assert made.outputs[0].sqnr_db > 30


@pytest.mark.parametrize("dtype", ["float16", "int16"])
def test_an_input_of_a_type_that_samples_cannot_feed_is_named(dtype: str) -> None:
    import tensorflow as tf

    model = _converted(lambda x: {"y": tf.cast(x, tf.float32) + 1.0}, _spec(1, 4, dtype=dtype, name="half"))
    with pytest.raises(DataError, match=f"input 'half' is {dtype}, which samples cannot feed"):
        samples_of([Sample({"half": np.zeros((1, 4))})], Graph.parse(model))


def test_a_graph_that_is_quantized_already_is_named_as_such(noise: list[Sample]) -> None:
    made = quantize_ptq(_convolution(), INT8, noise).model
    with pytest.raises(DataError, match="quantized already"):
        fit_for_quantizing(made)


def test_two_tanh_that_meet_in_sixteen_bits_are_added(noise: list[Sample]) -> None:
    """Their scales are powers of two, for which the 16-bit ADD of TFLite takes a path that refuses this pair."""
    import tensorflow as tf

    from models.quant.calibrate import CalibrationMethod, calibrate
    from models.quant.ranges import Ranges, TensorRange

    model = _converted(lambda x: {"y": tf.tanh(x) + tf.tanh(x * 3.0)}, _spec(1, 8, 8, 4))
    ranges = calibrate(model, noise, CalibrationMethod.MINMAX)
    added = next(op.name for op in Graph.parse(fit_for_quantizing(model)).ops if op.op == "ADD")
    exact = Ranges({**ranges.tensors, added: TensorRange.plain(-2.0, 2.0)}, "exact powers of two")
    assert fidelity(model, produce(model, INT16, exact), noise)[0].sqnr_db > 60
