"""Bias correction takes the mean error out of a layer's output and changes nothing but biases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from firmware_bridge.device.graph import Graph
from firmware_bridge.device.runtime import Kernels, LiteRt
from models.quant import editing
from models.quant.activation_tap import Probe
from models.quant.calibrate import CalibrationMethod, calibrate
from models.quant.correction import correct_biases
from models.quant.feeds import Sample, dequantized, quantized
from models.quant.fitting import fit_for_quantizing
from models.quant.plan import STANDARD_PLANS
from models.quant.produce import precisions, produce

INT8 = STANDARD_PLANS["int8"]


@pytest.fixture(scope="module")
def convolutions() -> bytes:
    """A convolution and a depthwise one, of weights that INT8 holds badly, on inputs far from zero on average."""
    import keras
    from keras import layers

    from models.training.export import export_float

    keras.utils.set_random_seed(5)
    image = keras.Input((20, 20, 3), 1, name="eo")
    x = layers.Conv2D(16, 3, name="first")(image)
    x = layers.DepthwiseConv2D(3, depth_multiplier=2, name="second")(x)
    model = keras.Model({"eo": image}, {"out": x})
    rng = np.random.default_rng(0)
    for layer in model.layers[1:]:
        kernel, bias = layer.get_weights()
        layer.set_weights([rng.standard_t(2, kernel.shape), rng.normal(size=bias.shape)])
    return export_float(model)


@pytest.fixture(scope="module")
def feeds() -> list[Sample]:
    rng = np.random.default_rng(1)
    return [Sample({"eo": rng.uniform(0.4, 1, (1, 20, 20, 3)).astype(np.float32)}) for _ in range(16)]


def _mean_error(source: bytes, made_from: bytes, feeds: list[Sample], ranges: Any) -> float:
    """Return the mean over channels of |mean error| of the INT8 graph, in steps of its output."""
    plain = LiteRt().load(source)
    made = LiteRt().load(produce(made_from, INT8, ranges), Kernels.REFERENCE)
    errors = []
    for sample in feeds:
        got = dequantized(made.run(quantized(sample.feed, made.graph)), made.graph)["out"]
        errors.append((got - plain.run(sample.feed)["out"]).reshape(-1, got.shape[-1]).mean(0))
    return float(np.abs(np.mean(errors, axis=0)).mean() / made.graph.outputs[0].scale)


def test_the_mean_error_of_each_channel_shrinks_to_a_fraction_of_a_step(
    convolutions: bytes, feeds: list[Sample]
) -> None:
    ranges = calibrate(convolutions, feeds, CalibrationMethod.MINMAX)
    wanted = precisions(Graph.parse(fit_for_quantizing(convolutions)), INT8)
    before = _mean_error(convolutions, convolutions, feeds, ranges)
    after = _mean_error(convolutions, correct_biases(convolutions, wanted, ranges, feeds), feeds, ranges)
    assert after < 0.5 * before
    assert after < 0.25


@pytest.mark.parametrize("shape", [(40,), (5, 4, 2), (6, 40)], ids=["vector", "flattened", "tokens"])
def test_fully_connected_layers_are_corrected_too(shape: tuple[int, ...]) -> None:
    import keras
    from keras import layers

    from models.training.export import export_float

    keras.utils.set_random_seed(5)
    given = keras.Input(shape, 1, name="x")
    model = keras.Model({"x": given}, {"out": layers.Dense(16)(layers.Flatten()(given) if len(shape) == 3 else given)})
    rng = np.random.default_rng(0)
    model.layers[-1].set_weights([rng.standard_t(2, (40, 16)), rng.normal(size=16)])
    graph = export_float(model)
    feeds = [Sample({"x": rng.uniform(0.4, 1, (1, *shape)).astype(np.float32)}) for _ in range(64)]
    ranges = calibrate(graph, feeds, CalibrationMethod.MINMAX)
    wanted = precisions(Graph.parse(fit_for_quantizing(graph)), INT8)
    before = _mean_error(graph, graph, feeds, ranges)
    assert _mean_error(graph, correct_biases(graph, wanted, ranges, feeds, limit=64), feeds, ranges) < 0.6 * before


def test_only_biases_of_integer_convolutions_change(float_graph: bytes, samples: list[dict[str, np.ndarray]]) -> None:
    given = [Sample(feed) for feed in samples[:4]]
    ranges = calibrate(float_graph, given, CalibrationMethod.MSE)
    fitted = fit_for_quantizing(float_graph)
    graph = Graph.parse(fitted)
    corrected = correct_biases(float_graph, precisions(graph, INT8), ranges, given)
    biases = {op.inputs[2] for op in graph.ops if op.op in ("CONV_2D", "DEPTHWISE_CONV_2D")}
    assert {index for index, same in enumerate(_same_constants(fitted, corrected)) if not same} == biases


def test_a_float_plan_leaves_the_function_as_it_was(float_graph: bytes, samples: list[dict[str, np.ndarray]]) -> None:
    given = [Sample(feed) for feed in samples[:2]]
    ranges = calibrate(float_graph, given, CalibrationMethod.MSE)
    fitted = fit_for_quantizing(float_graph)
    floats = correct_biases(float_graph, precisions(Graph.parse(fitted), STANDARD_PLANS["fp32"]), ranges, given)
    for (_, value), (_, other) in zip(Probe(floats).run(given[0].feed), Probe(fitted).run(given[0].feed), strict=True):
        np.testing.assert_array_equal(value, other)


def _same_constants(one: bytes, other: bytes) -> list[bool]:
    def constants(data: bytes) -> list[bytes]:
        model = editing.read_model(data)
        stored = [model.buffers[tensor.buffer].data for tensor in model.subgraphs[0].tensors]
        return [b"" if values is None else bytes(values) for values in stored]

    return [a == b for a, b in zip(constants(one), constants(other), strict=True)]
