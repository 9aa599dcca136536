"""The simulation computes what the runtime's reference kernels compute: each operation, and graphs as a whole."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from benchmarks.architectures import STANDARD_ATTENTION, float_graph, pictures
from firmware_bridge.device.graph import Graph
from models.errors import QuantizationError
from models.quant.calibrate import CalibrationMethod, calibrate
from models.quant.feeds import Sample
from models.quant.plan import Precision, PrecisionPlan, Rule
from models.quant.produce import produce
from models.quant.ranges import Ranges
from models.quant.simulation.against_runtime import OperationParity, operation_parity, output_distance
from models.quant.simulation.engine import Simulation

INT8, INT16, FP32 = Precision.INT8, Precision.INT16, Precision.FP32

_SHAPES = {
    "x": (1, 4, 6, 8), "p": (1, 4, 6, 8), "f": (24, 8), "k": (1, 2, 16, 64), "m": (1, 2, 6, 5), "r": (1, 6, 8),
}  # fmt: skip


def _converted(function, shapes: dict[str, tuple[int, ...]]) -> bytes:
    import tensorflow as tf

    module = tf.Module()
    signature = [tf.TensorSpec(shape, tf.float32, name=name) for name, shape in shapes.items()]
    module.f = tf.function(function, input_signature=signature)
    return tf.lite.TFLiteConverter.from_concrete_functions([module.f.get_concrete_function()], module).convert()


def _every_kernel(x, p, f, k, m, r):
    """Operations in the forms that kernels treat in different ways."""
    import tensorflow as tf

    rng = np.random.default_rng(2)

    def constant(*shape: int) -> tf.Tensor:
        return tf.constant(rng.normal(size=shape).astype(np.float32))

    positive = tf.abs(p) + 0.3
    kernel = constant(3, 3, 8, 16)
    return {
        "add": x + p, "add_row": x + constant(8), "add_half": x + x * 0.5, "sub": x - p, "mul": x * p,
        "mul_row": x * constant(8), "div": x / positive, "maximum": tf.maximum(x, p), "relu": tf.nn.relu(x),
        "conv": tf.nn.conv2d(x, kernel, 1, "SAME"), "conv_relu": tf.nn.relu(tf.nn.conv2d(x, kernel, 2, "VALID")),
        "conv_relu6": tf.nn.relu6(tf.nn.conv2d(x * 3.0, kernel, 2, "SAME")),
        "dilated": tf.nn.conv2d(x, kernel, 1, "SAME", dilations=2),
        "depthwise": tf.nn.depthwise_conv2d(x, constant(3, 3, 8, 2), [1, 1, 1, 1], "SAME"),
        "transposed": tf.nn.conv2d_transpose(x, constant(2, 2, 4, 8), (1, 8, 12, 4), 2, "SAME"),
        "dense": tf.matmul(f, constant(8, 5)), "dense_bias": tf.nn.relu(tf.matmul(f, constant(8, 5)) + constant(5)),
        "dense_deep": tf.matmul(r, constant(8, 5)), "product": tf.matmul(m, m, transpose_b=True),
        "product_constant": tf.matmul(m, constant(1, 2, 5, 7) * tf.range(1.0, 8.0)),
        "mean": tf.reduce_mean(x, (1, 2), keepdims=True), "mean_last": tf.reduce_mean(x, 3),
        "average": tf.nn.avg_pool2d(x, 3, 1, "SAME"), "average_even": tf.nn.avg_pool2d(x, 2, 2, "VALID"),
        "largest": tf.nn.max_pool2d(x, 2, 2, "VALID"), "doubled": tf.image.resize(x, (8, 12), "bilinear"),
        "odd": tf.image.resize(x, (7, 9), "bilinear"), "nearest": tf.image.resize(x, (8, 12), "nearest"),
        "softmax": tf.nn.softmax(k), "softmax_peaked": tf.nn.softmax(k * 15.0), "logistic": tf.sigmoid(x * 3.0),
        "tanh": tf.tanh(x * 3.0), "sqrt": tf.sqrt(positive),
        "rsqrt": tf.math.rsqrt(positive),
        "joined": tf.concat([x, p * 0.25], 3), "stacked": tf.stack([x, p], 1),
        "padded": tf.pad(x, ((0, 0), (1, 1)) * 2),
        "sliced": x[:, 1:, ::2], "part": tf.slice(x, (0, 1, 1, 0), (1, 2, 3, 8)),
        "turned": tf.transpose(x, (0, 3, 1, 2)),
        "gathered": tf.gather(x, [2, 1], axis=3), "reshaped": tf.reshape(x, (24, 8)) + 1.0,
    }  # fmt: skip


@cache
def _kernels() -> tuple[bytes, list[Sample], Ranges]:
    graph = _converted(_every_kernel, _SHAPES)
    rng = np.random.default_rng(8)
    noise = [Sample({n: rng.normal(size=s).astype(np.float32) for n, s in _SHAPES.items()}) for _ in range(12)]
    return graph, noise, calibrate(graph, noise, CalibrationMethod.MINMAX)


def _parity(precision: Precision) -> tuple[OperationParity, ...]:
    graph, noise, ranges = _kernels()
    simulation, plan = Simulation(graph, ranges), PrecisionPlan(precision)
    assignment = simulation.assignment(plan, allow_float=True)
    produced = produce(graph, plan, ranges, allow_float=True)
    return operation_parity(simulation, assignment, produced, noise[:3])


def test_each_int8_operation_gives_the_integers_of_the_kernel() -> None:
    found = _parity(INT8)
    assert {p.op for p in found} >= {"CONV_2D", "BATCH_MATMUL", "SOFTMAX", "RSQRT", "RESIZE_BILINEAR", "MEAN", "TANH"}
    assert {(p.op, p.name, p.mismatches / p.values) for p in found if p.mismatches > 0.004 * p.values} == set()
    assert max(p.max_lsb for p in found) <= 1


def test_each_int16_operation_gives_the_integers_of_the_kernel_but_for_ties_of_floats() -> None:
    found = _parity(INT16)
    assert {p.op for p in found} >= {"DIV", "SQRT", "LOGISTIC", "TANH", "SOFTMAX", "FULLY_CONNECTED"}
    assert {(p.op, p.name, p.mismatches / p.values) for p in found if p.mismatches > 0.03 * p.values} == set()
    assert max(p.max_lsb for p in found) <= 1


@pytest.mark.parametrize("name", ["vit", pytest.param("yolo", marks=pytest.mark.slow)])
def test_graphs_of_common_architectures_come_out_as_in_the_runtime(name: str) -> None:
    graph = float_graph(name)
    samples = pictures(Graph.parse(graph).inputs[0].shape, 12)
    ranges = calibrate(graph, samples[:8], CalibrationMethod.MSE)
    simulation = Simulation(graph, ranges)
    mixed = PrecisionPlan(INT8, tuple(Rule(op.name, INT16) for op in simulation.graph.ops[20:60:3]))
    for plan in (PrecisionPlan(INT8), PrecisionPlan(INT16), mixed):
        produced = produce(graph, plan, ranges)
        distance = output_distance(simulation, simulation.assignment(plan), produced, samples[8:])
        assert max(distance.values()) <= (0.1 if name in STANDARD_ATTENTION else 0.05)


def test_a_peaked_softmax_is_better_in_int8_than_in_int16_and_a_flat_one_worse() -> None:
    """Its INT16 table of exponents ends at -10: with one key far ahead of many others, these keep too much."""
    import tensorflow as tf

    shape = (1, 1, 8, 1280)
    graph = _converted(lambda logits: {"shares": tf.nn.softmax(logits)}, {"logits": shape})
    rng = np.random.default_rng(1)
    flat = rng.normal(0, 2, shape).astype(np.float32)
    peaked = rng.normal(0, 1, shape).astype(np.float32)
    peaked[..., 0] += 20
    ranges = calibrate(graph, [Sample({"logits": flat}), Sample({"logits": peaked})], CalibrationMethod.MINMAX)
    simulation = Simulation(graph, ranges)
    db = {}
    for name, logits in (("flat", flat), ("peaked", peaked)):
        found = simulation.run({"logits": logits}, [(FP32,), (INT8,), (INT16,)])
        plain, *rounded = (np.asarray(outputs["shares"], np.float64) for outputs in found)
        db[name] = [10 * np.log10((plain**2).sum() / ((plain - other) ** 2).sum()) for other in rounded]
    assert db["flat"][0] < 25 < 40 < db["flat"][1]
    assert db["peaked"][1] < 30 < 40 < db["peaked"][0]


def test_a_batch_gives_what_its_samples_give_one_at_a_time() -> None:
    graph, noise, ranges = _kernels()
    simulation = Simulation(graph, ranges)
    assignment = simulation.assignment(PrecisionPlan(INT8), allow_float=True)
    feed = {name: np.stack([sample.feed[name] for sample in noise[:3]]) for name in _SHAPES}
    together = simulation.run(feed, [assignment])[0]
    for row in range(3):
        alone = simulation.run({name: value[row : row + 1] for name, value in feed.items()}, [assignment])[0]
        for name, value in alone.items():
            np.testing.assert_allclose(np.asarray(together[name])[row], np.asarray(value)[0], atol=1e-5)


def test_in_float_it_is_the_float_graph() -> None:
    from firmware_bridge.device.runtime import LiteRt

    graph, noise, ranges = _kernels()
    simulation = Simulation(graph, ranges)
    found = simulation.run(noise[0].feed, [(FP32,) * len(simulation.nodes)])[0]
    for name, value in LiteRt().load(graph).run(noise[0].feed).items():
        np.testing.assert_allclose(np.asarray(found[name]).reshape(value.shape), value, atol=1e-4, rtol=1e-4)


def test_gradients_pass_the_rounding_and_stop_where_it_clips() -> None:
    import tensorflow as tf

    graph = _converted(lambda x: {"y": tf.nn.relu(tf.matmul(x, tf.eye(4)))}, {"x": (1, 4)})
    ranges = calibrate(graph, [Sample({"x": np.array([[-1, 0, 0.5, 1]], np.float32)})], CalibrationMethod.MINMAX)
    simulation = Simulation(graph, ranges)
    x = tf.constant([[-0.5, 0.3, 0.7, 4.0]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = simulation.run({"x": x}, [simulation.assignment(PrecisionPlan(INT8))])[0]["y"]
    np.testing.assert_allclose(np.asarray(tape.gradient(y, x)), [[0, 1, 1, 0]], atol=0.02)


def test_an_operation_that_is_not_known_is_refused_by_name() -> None:
    import tensorflow as tf

    graph = _converted(lambda x: {"y": tf.cumsum(x, 1)}, {"x": (1, 4)})
    ranges = calibrate(graph, [Sample({"x": np.ones((1, 4), np.float32)})], CalibrationMethod.MINMAX)
    with pytest.raises(QuantizationError, match=r"CUMSUM \(operation 0.*known are"):
        Simulation(graph, ranges)
