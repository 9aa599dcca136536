"""Fine-tuning through the simulation: what comes out is quantized as it was simulated; any float graph rides along."""

from __future__ import annotations

import numpy as np
import pytest

from models.errors import DataError, RecipeError
from models.quant.plan import Precision, PrecisionPlan, Rule
from models.training.events import Stage

tf = pytest.importorskip("tensorflow")


@pytest.fixture(scope="module")
def data(sets):
    from models.finetuning.finetune import TuningData

    return TuningData(sets["train"], sets["validation"], sets["calibration"])


@pytest.fixture(scope="module")
def source() -> bytes:
    """A detector of a few operations: its own stem for each band, a sum that two layers read, three heads."""
    import keras
    from keras import layers

    from models.training.export import export_float

    keras.utils.set_random_seed(4)
    eo, lwir = keras.Input((64, 80, 3), name="eo"), keras.Input((64, 80, 1), name="lwir")
    stems = [
        layers.Conv2D(6, 3, 4, "same", activation="relu6", name=f"{n}_stem")(x) for n, x in (("eo", eo), ("lwir", lwir))
    ]
    fused = layers.Conv2D(8, 1, name="fusion_4")(layers.Add(name="sum")(stems))
    trunk = layers.Add(name="trunk")(
        [fused, layers.Conv2D(8, 3, padding="same", activation="relu", name="unit")(fused)]
    )
    sizes = {"cls_4": 6, "box_4": 4, "kin_4": 2}
    heads = {name: layers.Conv2D(size, 1, name=name)(trunk) for name, size in sizes.items()}
    return export_float(keras.Model({"eo": eo, "lwir": lwir}, heads))


@pytest.fixture(scope="module")
def tune(source, data):
    """What fine-tunes it into a folder."""
    from models.finetuning.finetune import finetune
    from models.training.recipe import QatSettings

    def run(folder, progress=None, plan=None, **options):
        settings = QatSettings(
            epochs=2, batch=8, calibration=4, learning_rate=1e-3, range_learning_rate=1e-2, patience=0
        )
        plan = PrecisionPlan.named("mixed") if plan is None else plan
        return finetune(source, plan, data, folder, settings, progress=progress, **options)

    return run


@pytest.fixture(scope="module")
def tuned(tune, tmp_path_factory):
    folder, events = tmp_path_factory.mktemp("tuned"), []
    return tune(folder, events.append), folder, events


def test_the_graph_computes_what_was_simulated(tuned, sets):
    from models.quant.feeds import samples_of
    from models.quant.produce import produce
    from models.quant.simulation.against_runtime import output_distance
    from models.quant.simulation.engine import Simulation

    made = tuned[0]
    simulation = Simulation(made.float_tflite, made.ranges)
    produced = produce(made.float_tflite, made.plan, made.ranges)
    samples = list(samples_of(sets["validation"], simulation.graph))
    found = output_distance(simulation, simulation.assignment(made.plan), produced, samples)
    assert max(found.values()) < 0.02


def test_int8_ranges_move_and_int16_ranges_and_inputs_stay(tuned, source, sets):
    from firmware_bridge.device.graph import Graph
    from models.quant.calibrate import CalibrationMethod, calibrate
    from models.quant.layer_names import tensor_names

    before = calibrate(source, sets["calibration"], CalibrationMethod.MSE).tensors
    graph, after = Graph.parse(source), tuned[0].ranges.tensors
    moved = set()
    for index, names in tensor_names(graph).items():
        tensor = graph.tensors[index].name
        if tensor in before and not np.isclose(after[tensor].high, before[tensor].high, rtol=1e-5):
            moved |= set(names)
    assert {"eo_stem", "lwir_stem", "trunk", "cls_4"} <= moved
    assert not {"eo", "lwir", "fusion_4"} & moved
    assert all(after[name].high <= 6.0 + 1e-6 for name in after if "stem" in name)


def test_weights_are_trained_and_the_twins_too_but_to_others(tuned, source):
    from firmware_bridge.device.graph import Graph

    made = tuned[0]
    assert len({made.twin, source, made.float_tflite}) == 3
    assert [op.op for op in Graph.parse(made.twin).ops] == [op.op for op in Graph.parse(made.float_tflite).ops]


def test_progress_names_each_stage_and_a_finished_run_is_returned(tuned, tune):
    made, folder, events = tuned
    assert {Stage.CALIBRATING, Stage.FINE_TUNING, Stage.TWIN, Stage.VALIDATING} <= {e.stage for e in events}
    again: list = []
    same = tune(folder, again.append)
    assert not again
    assert (same.float_tflite, same.ranges, same.twin) == (made.float_tflite, made.ranges, made.twin)


def test_a_run_that_was_interrupted_while_the_twin_trained_ends_as_if_it_had_not_been(tuned, tune, tmp_path):
    def stop(event):
        if event.stage is Stage.TWIN and event.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(tmp_path, stop)
    stages = []
    resumed = tune(tmp_path, lambda event: stages.append(event.stage))
    assert Stage.FINE_TUNING not in stages
    for name in ("float_tflite", "ranges", "twin"):
        assert getattr(resumed, name) == getattr(tuned[0], name), name
    assert not list(tmp_path.glob("*checkpoint*"))


def test_a_plan_for_an_unknown_layer_is_refused_by_name(tune, tmp_path):
    plan = PrecisionPlan(Precision.INT8, (Rule("attention*", Precision.INT16),))
    with pytest.raises(RecipeError, match="attention"):
        tune(tmp_path, plan=plan)


def test_captures_for_a_graph_of_other_inputs_are_refused(data, tmp_path):
    import keras

    from models.finetuning.finetune import finetune
    from models.training.export import export_float

    image = keras.Input((8, 8, 3), 1, name="image")
    graph = export_float(keras.Model({"image": image}, {"y": keras.layers.Conv2D(2, 1)(image)}))
    with pytest.raises(DataError, match="eo and lwir"):
        finetune(graph, PrecisionPlan.named("int8"), data, tmp_path)


def test_gradients_of_a_range_follow_the_error_of_clipping_and_of_rounding():
    from models.quant.simulation.engine import requantized
    from models.quant.simulation.rounding import Grid

    low, high = tf.Variable(0.0), tf.Variable(2.0)

    def slope(values):
        with tf.GradientTape() as tape:
            grid = Grid(8, 1.0).trained(tf.convert_to_tensor(low), tf.convert_to_tensor(high))
            rounded = requantized(requantized(values, None, grid), grid, None)
            loss = tf.reduce_sum((rounded - values) ** 2)
        return float(tape.gradient(loss, high))

    assert slope(tf.constant([0.3, 5.0])) < -1  # a higher end would clip less
    assert slope(tf.constant(np.linspace(0, 0.5, 200, dtype=np.float32))) > 0  # a lower end would round finer
