"""Scale migration evens out channels after a normalization, and changes nothing in float."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_bridge.device.runtime import LiteRt
from models.quant import editing
from models.quant.calibrate import CalibrationMethod, calibrate
from models.quant.feeds import Sample
from models.quant.fidelity import fidelity
from models.quant.fitting import fit_for_quantizing
from models.quant.migration import migrate
from models.quant.plan import STANDARD_PLANS
from models.quant.produce import produce
from tests.quant.hand_made import HandMade

CHANNELS = 16


def normalized(spread: float, *, read_twice: bool = False) -> bytes:
    """Return gain and offset of uneven channels before two linear layers; or also before a sum."""
    rng, graph = np.random.default_rng(0), HandMade()
    gains = np.geomspace(1, spread, CHANNELS).astype(np.float32)
    x = graph.input("x", (1, 6, CHANNELS))
    (scaled,) = graph.operation("MUL", [x, graph.constant("gain", gains)], [("scaled", (1, 6, CHANNELS))], "MulOptions")
    offset = graph.constant("offset", rng.normal(0, 0.1, CHANNELS).astype(np.float32) * gains)
    (moved,) = graph.operation("ADD", [scaled, offset], [("moved", (1, 6, CHANNELS))], "AddOptions")
    outputs = []
    for name in ("q", "k"):
        weights = graph.constant(f"{name}_w", (rng.normal(0, 1, (4, CHANNELS)) / gains).astype(np.float32))
        bias = graph.constant(f"{name}_b", rng.normal(0, 0.1, 4).astype(np.float32))
        outputs += graph.operation(
            "FULLY_CONNECTED", [moved, weights, bias], [(name, (1, 6, 4))], "FullyConnectedOptions", keepNumDims=True
        )
    if read_twice:
        outputs += graph.operation("ADD", [moved, x], [("sum", (1, 6, CHANNELS))], "AddOptions")
    return graph.bytes(outputs)


@pytest.fixture(scope="module")
def feeds() -> list[Sample]:
    rng = np.random.default_rng(1)
    return [Sample({"x": rng.normal(0, 1, (1, 6, CHANNELS)).astype(np.float32)}) for _ in range(24)]


def test_the_float_function_stays_and_int8_comes_nearer_to_it(feeds):
    graph = normalized(1000.0)
    after = migrate(graph, feeds)
    plain, other = LiteRt().load(graph), LiteRt().load(after)
    for name, value in plain.run(feeds[0].feed).items():
        np.testing.assert_allclose(other.run(feeds[0].feed)[name], value, rtol=1e-4, atol=1e-5)
    found = []
    for source in (graph, after):
        made = produce(source, STANDARD_PLANS["int8"], calibrate(source, feeds, CalibrationMethod.MINMAX))
        found.append(min(output.sqnr_db for output in fidelity(graph, made, feeds)))
    assert found[1] > found[0] + 6


def test_even_channels_and_activations_that_others_read_stay_as_they_were(feeds):
    for graph in (normalized(1.5), normalized(1000.0, read_twice=True)):
        assert migrate(graph, feeds) == graph


def test_names_and_shapes_stay(feeds):
    graph = normalized(1000.0)
    before, after = (
        editing.read_model(data).subgraphs[0] for data in (fit_for_quantizing(graph), migrate(graph, feeds))
    )
    assert [(t.name, list(t.shape)) for t in before.tensors] == [(t.name, list(t.shape)) for t in after.tensors]
