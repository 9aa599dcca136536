"""Cross-layer equalization keeps the float function and makes a graph of uneven channels fit for INT8."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_bridge.device.graph import Graph
from firmware_bridge.device.runtime import LiteRt
from models.quant import editing
from models.quant.equalization import equalize
from models.quant.feeds import Sample
from models.quant.fidelity import fidelity
from models.quant.plan import STANDARD_PLANS
from models.quant.ptq import quantize_ptq


@pytest.fixture(scope="module")
def uneven() -> bytes:
    """Three convolutions with ReLU; the channels between them differ by a factor of up to 2000, as after a bad fold."""
    return _network("relu")


def _network(activation: str) -> bytes:
    import keras
    from keras import layers

    from models.training.export import export_float

    keras.utils.set_random_seed(5)
    image = keras.Input((16, 16, 3), 1, name="eo")
    x = layers.Conv2D(16, 3, activation=activation, name="first")(image)
    x = layers.DepthwiseConv2D(3, activation=activation, name="second")(x)
    x = layers.Conv2D(4, 1, name="third")(x)
    model = keras.Model({"eo": image}, {"out": x})
    spread, rng = np.logspace(0, 3.3, 16), np.random.default_rng(0)
    for layer in model.layers[1:]:
        kernel, bias = layer.get_weights()
        layer.set_weights([kernel, rng.normal(0, 0.1, bias.shape)])
    first, third = model.layers[1], model.layers[3]
    kernel, bias = first.get_weights()
    first.set_weights([kernel * spread, bias * spread])
    kernel, bias = third.get_weights()
    third.set_weights([kernel / spread[:, None], bias])
    return export_float(model)


@pytest.fixture(scope="module")
def feeds() -> list[Sample]:
    rng = np.random.default_rng(1)
    return [Sample({"eo": rng.random((1, 16, 16, 3), np.float32)}) for _ in range(16)]


def test_the_float_function_stays(uneven: bytes, feeds: list[Sample]) -> None:
    before, after = LiteRt().load(uneven), LiteRt().load(equalize(uneven))
    for sample in feeds:
        np.testing.assert_allclose(after.run(sample.feed)["out"], before.run(sample.feed)["out"], rtol=1e-4, atol=1e-5)


def test_int8_gains_where_channels_are_uneven(uneven: bytes, feeds: list[Sample]) -> None:
    plan = STANDARD_PLANS["int8"]
    made = quantize_ptq(uneven, plan, feeds, allow_collapse=True)
    assert "channels equalized" in made.applied
    assert fidelity(uneven, made.model, feeds)[0].sqnr_db > 25


def test_what_has_no_pair_comes_back_as_it_was() -> None:
    clipped = _network("relu6")
    # What follows the ReLU6 is no pair; first and second are clipped, third leaves the graph.
    assert equalize(clipped) == clipped


def test_no_channel_is_scaled_without_bound(uneven: bytes) -> None:
    """A dead channel has no scale that suits it; what is applied in all rounds together stays within 2^10."""
    model = editing.read_model(uneven)
    graph = Graph.parse(uneven)
    first = next(op for op in graph.ops if op.op == "CONV_2D")
    weights = model.subgraphs[0].tensors[first.inputs[1]]
    values = np.frombuffer(bytes(model.buffers[weights.buffer].data), np.float32).reshape(weights.shape).copy()
    values[3] *= 1e-25
    weights.buffer = editing.add_constant(model, values)
    source = editing.write_model(model)
    before, after = editing.float_constants(source), editing.float_constants(equalize(source))
    for index, value in before.items():
        scale = np.abs(after[index][value != 0] / value[value != 0])
        assert scale.max(initial=1.0) <= 2**10 * 1.01
        assert scale.min(initial=1.0) >= 2**-10 * 0.99
