"""The op tables are true: each integer pair that the quantizer can write runs, and gives the right numbers."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_bridge.device.graph import Graph
from firmware_bridge.device.isolated import IsolatedRuntime
from firmware_bridge.device.runtime import Kernels, LiteRt, op_table
from models.errors import QuantizationError
from models.quant.calibrate import CalibrationMethod, calibrate
from models.quant.feeds import Sample, dequantized, quantized
from models.quant.plan import Precision, PrecisionPlan
from models.quant.produce import produce
from models.quant.quantizer import supported_ops

# Least SQNR of one operation after inputs and output are rounded: INT8 has about 40 dB, INT16 70 to 90
# (weights stay INT8, which bounds convolutions at about 42).
_MIN_DB = {Precision.INT8: 34.0, Precision.INT16: 40.0}
_SHAPES = {"x": (1, 4, 6, 8), "m": (1, 2, 6, 5), "f": (24, 8)}


def _one_of_each():
    """Each operation as an output of its own, of one map x, matrices m and rows f."""
    import tensorflow as tf

    rng = np.random.default_rng(2)

    def constant(*shape: int) -> tf.Tensor:
        return tf.constant(rng.normal(size=shape).astype(np.float32))

    def every(x, m, f):
        return {
            "ADD": x + constant(1, 4, 6, 8),
            "AVERAGE_POOL_2D": tf.nn.avg_pool2d(x, 2, 2, "VALID"),
            "BATCH_MATMUL": tf.matmul(m, m, transpose_a=True),
            "CONCATENATION": tf.concat([x, x * 0.25], 3),
            "CONV_2D": tf.nn.conv2d(x, constant(3, 3, 8, 4), 1, "SAME"),
            "DEPTHWISE_CONV_2D": tf.nn.depthwise_conv2d(x, constant(3, 3, 8, 1), [1, 1, 1, 1], "SAME"),
            "FULLY_CONNECTED": tf.matmul(f, constant(8, 5)),
            "GELU": tf.nn.gelu(x, approximate=False),
            "LOGISTIC": tf.sigmoid(x),
            "MAX_POOL_2D": tf.nn.max_pool2d(x, 2, 2, "VALID"),
            "MEAN": tf.reduce_mean(x, axis=(1, 2), keepdims=True),
            "MUL": x * constant(1, 4, 6, 8),
            "PAD": tf.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0))),
            "RELU": tf.nn.relu(x),
            "RESHAPE": tf.reshape(x, (1, 24, 2, 4)),
            "RESIZE_BILINEAR": tf.image.resize(x, (8, 12), "bilinear"),
            "RESIZE_NEAREST_NEIGHBOR": tf.image.resize(x, (8, 12), "nearest"),
            "SLICE": tf.slice(x, (0, 1, 1, 0), (1, 2, 3, 8)),
            "SOFTMAX": tf.nn.softmax(x),
            "SQRT": tf.sqrt(tf.nn.relu(x)),
            "STRIDED_SLICE": x[:, ::2, ::2, :],
            "SUB": x - constant(1, 4, 6, 8),
            "TANH": tf.tanh(x),
            "TRANSPOSE": tf.transpose(x, (0, 3, 1, 2)),
            "TRANSPOSE_CONV": tf.nn.conv2d_transpose(x, constant(2, 2, 4, 8), (1, 8, 12, 4), 2, "SAME"),
        }

    return every


_LITERT_ONLY = {"SQRT:INT8", "SQRT:INT16", "GELU:INT16"}


@pytest.fixture(scope="module")
def operations() -> bytes:
    """One float graph with an output named after each operation."""
    import tensorflow as tf

    module = tf.Module()
    signature = [tf.TensorSpec(shape, tf.float32, name=key) for key, shape in _SHAPES.items()]
    module.f = tf.function(_one_of_each(), input_signature=signature)
    return tf.lite.TFLiteConverter.from_concrete_functions([module.f.get_concrete_function()], module).convert()


@pytest.fixture(scope="module")
def noise() -> list[Sample]:
    rng = np.random.default_rng(8)
    return [Sample({n: rng.normal(size=s).astype(np.float32) for n, s in _SHAPES.items()}) for _ in range(12)]


@pytest.mark.parametrize("kernels", list(Kernels))
@pytest.mark.parametrize("runtime", ["litert", "tflite-runtime"])
@pytest.mark.parametrize("precision", [Precision.INT8, Precision.INT16])
def test_each_pair_of_the_table_runs_and_gives_the_numbers_of_the_float_operation(
    operations: bytes, noise: list[Sample], precision: Precision, runtime: str, kernels: Kernels
) -> None:
    ranges = calibrate(operations, noise, CalibrationMethod.MINMAX)
    plan = PrecisionPlan(precision)
    model = produce(operations, plan, ranges, runtime, allow_float=True)
    kinds = {op.type for op in Graph.parse(model).ops}
    floats = {f"{name.split(':')[0]}:{precision.op_dtype}" for name in kinds if name.endswith(":FLOAT32")}
    assert floats == (set() if runtime == "litert" else {p for p in _LITERT_ONLY if p.endswith(precision.op_dtype)})
    found = _sqnr(operations, model, noise, runtime, kernels)
    assert {name: db for name, db in found.items() if db < _MIN_DB[precision]} == {}


def _sqnr(operations: bytes, model: bytes, noise: list[Sample], runtime: str, kernels: Kernels) -> dict[str, float]:
    """Return each output's SQNR in dB against the float operation on the very inputs that the integers stand for."""
    plain = LiteRt().load(operations)
    power: dict[str, np.ndarray] = {}
    with IsolatedRuntime(runtime).load(model, kernels) as session:
        for sample in noise[:4]:
            held = quantized(sample.feed, session.graph)
            exact = plain.run({t.name: t.dequantize(held[t.name]) for t in session.graph.inputs})
            got = dequantized(session.run(held), session.graph)
            for name, value in exact.items():
                sums = np.array([np.sum(value.astype(float) ** 2), np.sum((value - got[name]).astype(float) ** 2)])
                power[name] = power.get(name, np.zeros(2)) + sums
    return {name: float(10 * np.log10(signal / max(noise_, 1e-12))) for name, (signal, noise_) in power.items()}


def test_what_the_tables_say_runs_and_the_quantizer_writes_is_what_was_tried() -> None:
    """A pair that comes into a table without a trial must be named here."""
    import tensorflow as tf

    tried = set(_one_of_each()(*(tf.zeros(shape) for shape in _SHAPES.values())))
    untried = {"DIV", "GATHER", "HARD_SWISH", "MAXIMUM", "PACK", "RSQRT", "SPACE_TO_DEPTH", "UNPACK"}
    for precision in (Precision.INT8, Precision.INT16):
        for runtime in ("litert", "tflite-runtime"):
            listed = {p.split(":")[0] for p in op_table(runtime) if p.endswith(f":{precision.op_dtype}")}
            assert listed & supported_ops(precision) <= tried | untried


def test_rows_on_more_than_two_axes_are_refused_where_they_give_silent_garbage() -> None:
    import tensorflow as tf

    module = tf.Module()
    weights = tf.constant(np.random.default_rng(1).normal(size=(8, 5)).astype(np.float32))
    spec = [tf.TensorSpec((1, 6, 8), tf.float32, name="x")]
    module.f = tf.function(lambda x: {"y": tf.matmul(x, weights)}, input_signature=spec)
    concrete = module.f.get_concrete_function()
    model = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert()
    rng = np.random.default_rng(2)
    ranges = calibrate(model, [Sample({"x": rng.normal(size=(1, 6, 8)).astype(np.float32)}) for _ in range(4)])
    plan = PrecisionPlan(Precision.INT16)
    assert "FULLY_CONNECTED:INT16" in Graph.parse(produce(model, plan, ranges)).op_types
    with pytest.raises(QuantizationError, match="more than two axes cannot be int16 on tflite-runtime"):
        produce(model, plan, ranges, "tflite-runtime")
