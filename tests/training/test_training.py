"""Training: resumable, repeatable, told as it goes."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from models.errors import DataError, TrainingError
from models.training.events import Stage


def values(network) -> dict[str, np.ndarray]:
    from models.training.weights import named_variables

    return {name: v.numpy() for name, v in named_variables(network.model).items()}


class _StoppedError(Exception):
    pass


def test_events_tell_stage_epoch_loss_and_time_left(trained):
    _, _, events = trained
    steps = [e for e in events if e.stage is Stage.TRAINING]
    assert [e.done for e in steps] == list(range(1, steps[-1].total + 1))
    assert steps[-1].epoch == steps[-1].epochs == 2
    assert steps[-1].share == 1
    assert all(np.isfinite(e.loss) for e in steps)
    assert steps[0].seconds_left is None
    assert steps[-1].seconds_left == 0
    assert {Stage.LOADING, Stage.VALIDATING} <= {e.stage for e in events}
    assert events[-1].ap50 is not None


def test_a_saved_network_loads_equal_with_its_history(trained):
    from models.training import TrainedNetwork

    network, folder, _ = trained
    loaded = TrainedNetwork.load(folder)
    assert loaded.recipe == network.recipe
    assert loaded.history == network.history
    for name, value in values(network).items():
        np.testing.assert_array_equal(values(loaded)[name], value)


def test_a_finished_network_is_returned_without_training(trained, sets, recipe):
    from models.training import train

    network, folder, _ = trained
    events = []
    again = train(recipe, sets["train"], sets["validation"], folder, events.append)
    assert not events
    assert again.history == network.history


def test_each_epoch_is_in_the_tensorboard_log(trained):
    from tensorflow.core.util import event_pb2
    from tensorflow.data import TFRecordDataset

    network, folder, _ = trained
    files = [str(path) for path in (folder / "tensorboard").iterdir()]
    events = [event_pb2.Event.FromString(record.numpy()) for record in TFRecordDataset(files)]
    losses = {event.step for event in events for value in event.summary.value if value.tag == "loss"}
    assert losses == {record.epoch for record in network.history}


def test_seed_data_and_library_versions_are_recorded(trained, sets):
    record = json.loads((trained[1] / "history.json").read_text())
    assert record["seed"] == 1
    assert record["data"]["train"] == sets["train"].digest
    assert set(record["versions"]) == {"tensorflow", "keras", "numpy"}


def test_an_interrupted_training_resumes_to_the_very_same_weights(trained, sets, recipe, tmp_path):
    from models.training import train

    def stop(event):
        if event.epoch == 2:
            raise _StoppedError

    with pytest.raises(_StoppedError):
        train(recipe, sets["train"], sets["validation"], tmp_path, stop)
    assert (tmp_path / "checkpoint.npz").is_file()
    events = []
    resumed = train(recipe, sets["train"], sets["validation"], tmp_path, events.append)
    assert {e.epoch for e in events if e.stage is Stage.TRAINING} == {2}
    for name, value in values(trained[0]).items():
        np.testing.assert_allclose(values(resumed)[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    assert not (tmp_path / "checkpoint.npz").exists()


def test_another_way_of_fine_tuning_trains_no_other_parent(trained, sets, recipe):
    from models.training import TrainedNetwork, train

    other = dataclasses.replace(recipe, qat=dataclasses.replace(recipe.qat, epochs=7))
    events = []
    train(other, sets["train"], sets["validation"], trained[1], events.append)
    assert not events
    assert TrainedNetwork.load(trained[1]).recipe.qat.epochs == 7
    train(recipe, sets["train"], sets["validation"], trained[1])


def test_a_damaged_checkpoint_is_one_line_that_says_what_to_do(sets, recipe, tmp_path):
    from models.training import train

    (tmp_path / "checkpoint.npz").write_bytes(b"PK\x03\x04 not much of an archive")
    with pytest.raises(TrainingError, match=r"checkpoint.npz cannot be read"):
        train(recipe, sets["train"], None, tmp_path)


def test_weights_of_another_network_are_refused_by_name(trained, tmp_path):
    from models.training import TrainedNetwork

    network, _, _ = trained
    network.save(tmp_path)
    text = (tmp_path / "recipe.toml").read_text()
    (tmp_path / "recipe.toml").write_text(text.replace("neck = 8", "neck = 12"))
    with pytest.raises(TrainingError, match="shape"):
        TrainedNetwork.load(tmp_path)
    with pytest.raises(TrainingError, match="holds no trained network"):
        TrainedNetwork.load(tmp_path / "nothing")


def test_joined_arrays_hold_the_objects_of_both(sets):
    from models.training.data import load_arrays

    first, second = (load_arrays(sets[name], 64, 80) for name in ("calibration", "validation"))
    for whole, parts in ((first.joined(second), (first, second)), (second.joined(first), (second, first))):
        assert len(whole) == len(first) + len(second)
        assert (whole.state != 0).sum() == sum((part.state != 0).sum() for part in parts)
        last = parts[1]
        np.testing.assert_array_equal(whole.boxes[-1][: last.boxes.shape[1]], last.boxes[-1])
        np.testing.assert_array_equal(whole.lwir[-1], last.lwir[-1])


def test_an_empty_set_and_a_broken_box_are_refused(sets):
    from models.training.data import load_arrays

    with pytest.raises(DataError, match="is empty"):
        load_arrays(sets["train"].subset([]), 64, 80)
    capture = next(c for c in sets["train"].captures if c.objects)
    index = sets["train"].captures.index(capture)
    broken = dataclasses.replace(capture.objects[0], box=(0.0, float("nan"), 3.0, 4.0))
    wrong = dataclasses.replace(
        sets["train"].subset([index]), captures=(dataclasses.replace(capture, objects=(broken,)),)
    )
    with pytest.raises(DataError, match="not finite"):
        load_arrays(wrong, 64, 80)


def test_a_loss_that_is_not_finite_stops_with_epoch_and_step(sets):
    import keras
    import tensorflow as tf

    from models.training.augment import Augmentation
    from models.training.data import load_arrays
    from models.training.loop import FitLoop, Group, LoopSettings
    from models.training.loss import LossParts

    inputs = keras.Input((2,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    settings = LoopSettings(Stage.TRAINING, 1, 4, 0.1, 0.9, 1, Augmentation(), "x")

    def objective(batch):
        value = tf.reduce_sum(model(tf.zeros((1, 2)))) * float("nan")
        return LossParts(value, value, value)

    data = load_arrays(sets["validation"], 64, 80)
    with pytest.raises(TrainingError, match="epoch 1, step 1; lower learning_rate"):
        FitLoop(model, objective, data, [Group(model.trainable_variables, 1e-3)], settings).run(None, lambda _: None)


def test_the_float_graph_computes_what_the_keras_network_does(trained, sets):
    from firmware_bridge.device.runtime import Kernels, default_runtime
    from models.preprocess import batch, to_unit

    network, _, _ = trained
    session = default_runtime().load(network.export(), Kernels.OPTIMISED)
    frames = batch(sets["validation"], [0], 64, 80)
    inputs = {"eo": to_unit(frames.eo), "lwir": to_unit(frames.lwir)}
    expected, got = network.model(inputs, training=False), session.run(inputs)
    assert set(expected) == set(got)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, atol=1e-4)
