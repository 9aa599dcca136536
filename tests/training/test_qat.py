"""Quantization-aware fine-tuning: the simulation is the integer graph, and its ranges are what is exported."""

from __future__ import annotations

import numpy as np
import pytest

from models.errors import QuantizationError, RecipeError, TrainingError
from models.quant.plan import Precision, PrecisionPlan, Rule
from models.training.events import Stage

tf = pytest.importorskip("tensorflow")

from models.quant.fakequant import fake_quant, fake_quant_kernel  # noqa: E402


def integer_outputs(model: bytes, captures) -> dict[str, np.ndarray]:
    """Run the integer graph with the reference kernels; dequantized outputs by name."""
    from firmware_bridge.device.runtime import Kernels, default_runtime
    from models.evaluation.predict import dequantize_outputs, quantize_inputs
    from models.preprocess import batch

    session = default_runtime().load(model, Kernels.REFERENCE)
    frames = batch(captures, range(len(captures)), 64, 80)
    found: dict[str, list] = {}
    for eo, lwir in zip(frames.eo, frames.lwir, strict=True):
        raw = session.run(quantize_inputs(session.graph, eo, lwir))
        for name, value in dequantize_outputs(session.graph, raw).items():
            found.setdefault(name, []).append(value.reshape(value.shape[-3:]))
    return {name: np.stack(values) for name, values in found.items()}


def simulated_outputs(model, captures) -> dict[str, np.ndarray]:
    from models.preprocess import batch, to_unit

    frames = batch(captures, range(len(captures)), 64, 80)
    outputs = model({"eo": to_unit(frames.eo), "lwir": to_unit(frames.lwir)}, training=False)
    return {name: np.asarray(value) for name, value in outputs.items()}


@pytest.fixture(scope="module")
def produced(tuned):
    from models.quant.produce import produce

    network, _, _ = tuned
    source = network.export()
    return produce(source, network.plan, network.graph_ranges(source))


def test_float_training_qat_and_the_integer_graph_agree(tuned, produced, sets):
    simulated = simulated_outputs(tuned[0].simulation().model, sets["validation"])
    integer = integer_outputs(produced, sets["validation"])
    assert set(simulated) == set(integer)
    for name, value in simulated.items():
        difference = np.abs(value - integer[name]).mean() / value.std()
        assert difference < 0.05, name


def test_every_operation_has_the_type_that_the_plan_asked_for(tuned, produced):
    from firmware_bridge.device.graph import Graph
    from models.quant.lint import lint

    network, _, _ = tuned
    report = lint(Graph.parse(produced), network.plan, source=Graph.parse(network.export()))
    assert report.clean
    assert {"CONV_2D:INT8", "CONV_2D:INT16", "BATCH_MATMUL:INT16", "SOFTMAX:INT16"} <= set(dict(report.op_counts))


def test_trained_ranges_reach_the_graph_to_the_last_digit(tuned, produced):
    from firmware_bridge.device.graph import Graph

    network, _, _ = tuned
    graph = Graph.parse(produced)
    for tensor in graph.outputs:
        low, high = network.ranges[tensor.name]
        assert tensor.scale == pytest.approx((high - low) / 255, rel=1e-5)
    assert {t.name: (round(t.scale * 255, 6), t.zero_point) for t in graph.inputs} == {
        "eo": (1, -128),
        "lwir": (1, -128),
    }


def test_the_graph_is_reproducible_from_the_saved_folder(tuned, produced):
    from models.quant.produce import produce
    from models.training.qat import QatNetwork, load_ranges

    loaded = QatNetwork.load(tuned[1])
    source = loaded.export()
    assert loaded.ranges == tuned[0].ranges
    assert produce(source, loaded.plan, load_ranges(tuned[1], source)) == produced


def test_fine_tuning_tells_calibration_and_steps_and_a_finished_one_is_returned(tuned, trained, sets, recipe):
    from models.training import finetune_qat

    network, folder, events = tuned
    assert {Stage.CALIBRATING, Stage.FINE_TUNING, Stage.VALIDATING} <= {e.stage for e in events}
    again = []
    same = finetune_qat(
        trained[0], recipe, network.plan, sets["train"], sets["validation"], sets["calibration"], folder, again.append
    )
    assert not again
    assert same.ranges == network.ranges


def test_only_int8_ranges_are_trained_and_they_move(trained, tuned, sets):
    from models.quant.qat import simulate
    from models.training.qat import calibrated_ranges

    network, _, _ = tuned
    folded = trained[0].folded()
    before = simulate(folded, network.plan, calibrated_ranges(folded, network.plan, sets["calibration"])).ranges()
    assert before.keys() == network.ranges.keys()
    moved = {name for name, span in network.ranges.items() if not np.allclose(span, before[name], rtol=1e-4)}
    assert "eo_stem" in moved
    assert not [name for name in moved if name.startswith("fusion")]


def test_a_float_plan_simulates_nothing(trained, sets):
    from models.quant.qat import simulate
    from models.training.qat import calibrated_ranges

    folded = trained[0].folded()
    plan = PrecisionPlan(Precision.FP32)
    ranges = calibrated_ranges(folded, plan, sets["calibration"])
    plain, simulated = (
        simulated_outputs(m, sets["calibration"]) for m in (folded, simulate(folded, plan, ranges).model)
    )
    for name, value in plain.items():
        np.testing.assert_allclose(simulated[name], value, atol=1e-5)


def test_a_plan_for_an_unknown_layer_and_a_missing_range_are_refused_by_name(trained):
    from models.quant.qat import simulate

    folded = trained[0].folded()
    with pytest.raises(RecipeError, match="attention"):
        simulate(folded, PrecisionPlan(Precision.INT8, (Rule("attention*", Precision.INT16),)), {})
    with pytest.raises(QuantizationError, match="_stem' has no range"):
        simulate(folded, PrecisionPlan(Precision.INT8), {})


def test_a_folder_without_a_network_is_refused(tmp_path):
    from models.training.qat import QatNetwork

    with pytest.raises(TrainingError, match="no fine-tuned network"):
        QatNetwork.load(tmp_path)


@pytest.mark.parametrize(("low", "high"), [(0.0, 6.0), (-1.3, 2.9), (-4.0, 0.0), (-0.01, 3.0)])
def test_fake_quantization_has_the_exporters_int8_grid(low, high):
    x = np.linspace(low - 1, high + 1, 999, dtype=np.float32)
    scale = (high - low) / 255
    zero = round(-128 - low / scale)
    integer = np.clip(np.rint(x / scale) + zero, -128, 127)
    expected = (integer - zero) * scale
    got = fake_quant(tf.constant(x), tf.constant(low), tf.constant(high), Precision.INT8).numpy()
    # A value half way between two steps may go either way.
    assert np.mean(np.abs(got - expected) > 1e-4) < 0.01
    assert np.abs(got - expected).max() <= scale * 1.001


def test_int16_grid_is_symmetric_with_32767_steps():
    x = np.linspace(-3, 3, 1001, dtype=np.float32)
    got = fake_quant(tf.constant(x), tf.constant(-1.0), tf.constant(2.0), Precision.INT16).numpy()
    step = 2.0 / 32767
    np.testing.assert_allclose(got, np.clip(np.rint(x / step), -32767, 32767) * step, atol=step)


def test_kernels_are_rounded_per_output_channel_and_their_gradient_passes():
    kernel = tf.Variable(np.random.default_rng(0).normal(size=(3, 3, 4, 5)).astype(np.float32) * [1, 2, 3, 4, 0])
    with tf.GradientTape() as tape:
        rounded = fake_quant_kernel(kernel, Precision.INT16)
        total = tf.reduce_sum(rounded)
    scale = np.abs(kernel.numpy()).max(axis=(0, 1, 2)) / 127
    steps = rounded.numpy()[..., :4] / scale[:4]
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-3)
    np.testing.assert_array_equal(tape.gradient(total, kernel), np.ones(kernel.shape))
    assert not rounded.numpy()[..., 4].any()


def test_range_gradients_follow_the_error_of_clipping_and_of_rounding():
    x = tf.constant([0.3, 5.0])
    low, high = tf.Variable(0.0), tf.Variable(2.0)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum((fake_quant(x, low, high, Precision.INT8) - x) ** 2)
    assert float(tape.gradient(loss, high)) < -1  # a higher end would clip less
    fine = tf.constant(np.linspace(0, 0.5, 200, dtype=np.float32))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum((fake_quant(fine, low, high, Precision.INT8) - fine) ** 2)
    assert float(tape.gradient(loss, high)) > 0  # a lower end would round finer
