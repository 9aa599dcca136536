"""What a network promises before it is trained."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_bridge.device.graph import Graph
from models.errors import RecipeError
from models.heads import output_strides

SMALL = {"height": 64, "width": 80, "stem": 4, "channels": [4, 8], "depths": [1, 0], "neck": 8}
SMALL["attention"] = [[8, 2, 4], [8, 1, 2]]


@pytest.fixture(scope="module")
def small():
    import keras

    from models.networks import build

    keras.utils.set_random_seed(3)
    model = build("fusion-small", **SMALL)
    rng = np.random.default_rng(0)
    for layer in model.layers:  # as after training: no statistic at its initial value
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape).astype(np.float32) for w in layer.get_weights()])
    return model


def frames(count: int, height: int = 64, width: int = 80) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        "eo": rng.random((count, height, width, 3), np.float32),
        "lwir": rng.random((count, height, width, 1), np.float32),
    }


@pytest.fixture(scope="module")
def graph():
    """The demo's network as a float graph."""
    from models.networks import build
    from models.training import export_float

    return Graph.parse(export_float(build("fusion-small")))


def test_the_exported_graph_computes_what_the_network_does_without_batch_normalization(small):
    from firmware_bridge.device.runtime import LiteRt
    from models.training import export_float

    session, given = LiteRt().load(export_float(small)), frames(1)
    assert {op.op for op in session.graph.ops if "bn" in op.name} <= {"CONV_2D", "DEPTHWISE_CONV_2D"}
    found = session.run({name: np.asarray(value) for name, value in given.items()})
    for name, value in small(given, training=False).items():
        np.testing.assert_allclose(found[name], value, atol=2e-5)


def test_both_bands_reach_every_output(small):
    given = frames(1)
    before = small(given, training=False)
    for band in ("eo", "lwir"):
        after = small({**given, band: np.zeros_like(given[band])}, training=False)
        assert all(np.abs(after[name] - before[name]).max() > 1e-6 for name in before)


def test_a_thermal_network_takes_the_thermal_band_alone():
    import keras

    from models.networks import build, feed, frame_size, groups

    sizes = {**SMALL, "attention": []}
    keras.utils.set_random_seed(3)
    model = build("thermal-small", **sizes)
    given = feed(model, **frames(1))
    assert (list(given), frame_size(model)) == (["lwir"], (64, 80))
    assert set(groups(model)) == {"lwir", "neck", "head"}


def test_every_layer_belongs_to_one_group_and_attention_layers_are_their_own(small):
    from models.networks import groups

    found = groups(small)
    assert set(found) == {"eo", "lwir", "fusion_4", "fusion_8", "neck", "head"}
    names = [name for part in found.values() for name in part]
    assert len(names) == len(set(names)) == len(small.layers) - 2


def test_three_attention_layers_hold_a_minority_of_the_parameters():
    from models.networks import build, groups

    model = build("fusion-small")
    sizes = {part: sum(model.get_layer(n).count_params() for n in names) for part, names in groups(model).items()}
    attention = [part for part in sizes if part.startswith("fusion")]
    assert len(attention) == 3
    assert sum(sizes[part] for part in attention) < 0.25 * model.count_params()


def test_the_exported_graph_speaks_the_contract_of_heads(graph):
    assert {t.name: t.shape for t in graph.inputs} == {"eo": (1, 128, 160, 3), "lwir": (1, 128, 160, 1)}
    strides = output_strides(tuple(t.name for t in graph.outputs))
    for tensor in graph.outputs:
        part, stride = tensor.name.split("_")
        channels = {"cls": 6, "box": 4, "kin": 2}[part]
        assert tensor.shape == (1, 128 // int(stride), 160 // int(stride), channels)
    assert strides


def test_the_exported_graph_holds_only_operations_with_an_int16_kernel(graph):
    from firmware_bridge.device.runtime import op_table

    for runtime in ("litert", "tflite-runtime"):
        runs = set(op_table(runtime))
        lacking = {op.op for op in graph.ops if f"{op.op}:INT16" not in runs}
        assert not lacking, runtime


def test_a_frame_costs_tens_of_millions_of_macs(graph):
    assert 10e6 < sum(op.macs for op in graph.ops) < 80e6


def test_each_operation_of_the_graph_can_be_called_by_the_name_of_its_layer(graph):
    from models.networks import build
    from models.quant.layer_names import operation_names

    layers = {layer.name for layer in build("fusion-small").layers}
    unnamed = [names for names in operation_names(graph).values() if not layers & set(names)]
    assert not unnamed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"width": 90}, "multiple of stride"),
        ({"attention": [[8, 2, 2], [8, 2, 1]]}, "80 keys are more than 64"),
        ({"keys": "some"}, "keys = 'some' is none of all, pooled"),
        ({"norm": "batch"}, "norm = 'batch' is none of layer, tanh"),
        ({"attention": [[8, 3, 4], [8, 2, 2]]}, "cannot be shared by 3 heads"),
        ({"attention": [[8, 2, 5], [8, 2, 2]]}, "cannot be pooled by 5"),
        ({"depths": [1]}, "one entry for each stride"),
        ({"strides": [32]}, "need to be among"),
        ({"attention": []}, "attention needs one entry for each stride"),
        ({"bands": ["radar"]}, "bands \\('radar',\\) are not"),
        ({"colour": 3}, "no option 'colour'"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_with_the_reason(options, said):
    from models.networks import build

    with pytest.raises(RecipeError, match=said):
        build("fusion-small", **{**SMALL, **options})


def test_an_unknown_network_is_refused_with_the_known_ones():
    from models.networks import build

    with pytest.raises(RecipeError, match="fusion-small"):
        build("fusion-huge")


@pytest.mark.parametrize(
    ("name", "gmacs"),
    [
        pytest.param("fusion-transformer", (3.3, 3.5), marks=pytest.mark.slow),
        ("fusion-transformer-small", (0.08, 0.1)),
    ],
)
def test_a_transformer_has_its_work_three_attention_layers_over_all_keys_and_few_parameters_there(name, gmacs):
    from models.networks import NETWORKS, build, groups
    from models.training import export_float

    model = build(name)
    graph = Graph.parse(export_float(model))
    assert gmacs[0] * 1e9 < sum(op.macs for op in graph.ops) < gmacs[1] * 1e9
    parameters = {part: sum(model.get_layer(n).count_params() for n in names) for part, names in groups(model).items()}
    attention = [part for part in parameters if part.startswith("fusion")]
    assert len(attention) == 3
    assert sum(parameters[part] for part in attention) < 0.15 * sum(parameters.values())
    cells = NETWORKS[name].height * NETWORKS[name].width
    for part in attention:
        stride = int(part.removeprefix("fusion_"))
        for band in ("eo", "lwir"):
            keys = model.get_layer(f"{part}_{band}_weights").output.shape[-1]
            assert keys == cells // stride**2


TINY = {**SMALL, "channels": [4, 8, 8], "depths": [0, 1, 0], "keys": "all", "norm": "layer"}
TINY["attention"] = [[], [8, 2, [4, 2], 2], [8, 2]]


@pytest.mark.parametrize("keys", ["all", "pooled"])
@pytest.mark.parametrize("norm", ["layer", "tanh"])
def test_keys_and_normalization_of_a_transformer_are_options_that_differ_nowhere_else(keys, norm):
    from models.networks import build

    model = build("fusion-transformer-small", **{**TINY, "keys": keys, "norm": norm})
    names = {layer.name for layer in model.layers}
    assert ("fusion_8_eo_pool" in names) == (keys == "pooled")
    assert ("fusion_8_eo_rsqrt" in names) == (norm == "layer")
    assert ("fusion_8_eo_scale" in names) == (norm == "tanh")
    assert model.get_layer("fusion_8_eo_weights").output.shape[-1] == (80 if keys == "all" else 10)
    weights = {name for name in names if model.get_layer(name).weights and not name.endswith("_scale")}
    reference = build("fusion-transformer-small", **TINY)
    assert weights == {layer.name for layer in reference.layers if layer.weights}


def test_layer_normalization_gives_cells_of_mean_nought_and_variance_one():
    import keras

    from models.networks import build

    model = build("fusion-transformer-small", **TINY)
    probe = keras.Model(model.input, [model.get_layer(f"fusion_8_eo_{step}").output for step in ("variance", "norm")])
    spread, normed = (np.asarray(x) for x in probe(frames(1)))
    np.testing.assert_allclose(normed.mean(axis=-1), 0.0, atol=1e-5)
    wanted = spread[..., 0] / (spread[..., 0] + 1e-3)
    np.testing.assert_allclose((normed**2).mean(axis=-1), wanted, rtol=1e-3)


@pytest.fixture(scope="module")
def tiny_graph():
    """A small transformer as a float graph, with weights as after training."""
    import keras

    from models.networks import build
    from models.training import export_float

    keras.utils.set_random_seed(3)
    model = build("fusion-transformer-small", **TINY)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.8, 1.2, w.shape).astype(np.float32) for w in layer.get_weights()])
    return export_float(model)


@pytest.mark.parametrize(("plan", "attention"), [("int8", "INT8"), ("mixed", "INT16"), ("int16", "INT16")])
def test_every_operation_of_a_transformer_comes_out_in_the_type_asked_for_and_runs(tiny_graph, sets, plan, attention):
    from firmware_bridge.device.runtime import Kernels, LiteRt
    from models.evaluation.predict import dequantize_outputs, quantize_inputs
    from models.preprocess import network_frames, to_unit
    from models.quant.calibrate import CalibrationMethod, calibrate
    from models.quant.layer_names import operation_names
    from models.quant.plan import STANDARD_PLANS
    from models.quant.produce import produce

    ranges = calibrate(tiny_graph, sets["calibration"], CalibrationMethod.MINMAX)
    made = produce(tiny_graph, STANDARD_PLANS[plan], ranges)
    graph = Graph.parse(made)
    names = operation_names(graph)
    types = {
        op.dtype
        for op in graph.ops
        if op.op not in ("QUANTIZE", "DEQUANTIZE") and any(name.startswith("fusion_8_") for name in names[op.index])
    }
    assert types == {attention}
    kinds = {op.op for op in graph.ops}
    assert {"MEAN", "SUB", "MUL", "RSQRT", "LOGISTIC", "SOFTMAX", "BATCH_MATMUL"} <= kinds
    assert not kinds & {"SQUARED_DIFFERENCE", "NEG", "GELU", "DIV"}
    session, parent = LiteRt().load(made, Kernels.REFERENCE), LiteRt().load(tiny_graph, Kernels.REFERENCE)
    eo, lwir, _ = network_frames(sets["validation"], 0, 64, 80)
    got = dequantize_outputs(session.graph, session.run(quantize_inputs(session.graph, eo, lwir)))
    wanted = parent.run({"eo": to_unit(eo)[None], "lwir": to_unit(lwir)[None, ..., None]})
    for name, value in wanted.items():
        assert np.abs(got[name] - value).mean() < 0.25 * value.std() + 0.02, name
