"""Training: resumable, repeatable, told as it goes."""

from __future__ import annotations

import dataclasses
import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from models.errors import DataError, RecipeError, TrainingError
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


@pytest.fixture(scope="module")
def interrupted(sets, recipe, tmp_path_factory) -> Path:
    """The folder of a training that was stopped in its second epoch."""
    from models.training import train

    def stop(event):
        if event.epoch == 2:
            raise _StoppedError

    folder = tmp_path_factory.mktemp("interrupted")
    with pytest.raises(_StoppedError):
        train(recipe, sets["train"], sets["validation"], folder, stop)
    return folder


def test_an_interrupted_training_resumes_to_the_very_same_weights(trained, sets, recipe, interrupted, tmp_path):
    from models.training import train

    folder = tmp_path / "copy"
    shutil.copytree(interrupted, folder)
    assert (folder / "checkpoint" / "latest.weights.h5").is_file()
    events = []
    resumed = train(recipe, sets["train"], sets["validation"], folder, events.append)
    assert {e.epoch for e in events if e.stage is Stage.TRAINING} == {2}
    for name, value in values(trained[0]).items():
        np.testing.assert_allclose(values(resumed)[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    assert not (folder / "checkpoint").exists()
    assert not (folder / "pieces.json").exists()
    assert [record.loss for record in resumed.history] == pytest.approx([r.loss for r in trained[0].history], rel=1e-3)


def test_another_way_of_fine_tuning_trains_no_other_parent(trained, sets, recipe):
    from models.training import TrainedNetwork, train

    other = dataclasses.replace(recipe, qat=dataclasses.replace(recipe.qat, epochs=7))
    events = []
    train(other, sets["train"], sets["validation"], trained[1], events.append)
    assert not events
    assert TrainedNetwork.load(trained[1]).recipe.qat.epochs == 7
    train(recipe, sets["train"], sets["validation"], trained[1])


def test_a_damaged_checkpoint_is_one_line_that_says_what_to_do(sets, recipe, interrupted, tmp_path):
    from models.training import train

    folder = tmp_path / "copy"
    shutil.copytree(interrupted, folder)
    (folder / "checkpoint" / "latest.weights.h5").write_bytes(b"\x89HDF not much of a file")
    with pytest.raises(TrainingError, match=r"checkpoint: .*delete it to start anew"):
        train(recipe, sets["train"], sets["validation"], folder)
    (folder / "pieces.json").write_text("{")
    with pytest.raises(TrainingError, match=r"pieces.json cannot be read"):
        train(recipe, sets["train"], sets["validation"], folder)


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


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_with_epoch_and_step(sets, recipe, tmp_path):
    from models.training import train

    wild = dataclasses.replace(recipe, fit=dataclasses.replace(recipe.fit, learning_rate=1e30, warmup=0.0))
    with pytest.raises(TrainingError, match=r"epoch 1, step \d+; lower learning_rate"):
        train(wild, sets["train"], None, tmp_path)


def test_a_pass_cut_into_pieces_sees_each_capture_once_and_passes_differ(sets, monkeypatch):
    from models.training import batches as module
    from models.training.data import load_arrays

    monkeypatch.setattr(module, "PIECE_STEPS", 2)
    data = load_arrays(sets["train"], 64, 80)
    batches = module.CaptureBatches(data, 4, 7, noise=False)
    assert (batches.pieces, batches.steps) == (2, 2)
    passes = []
    for number in range(2):
        seen = []
        for part in range(2):
            batches.piece = 2 * number + part
            seen += [frame.tobytes() for index in range(len(batches)) for frame in batches[index][0]["eo"]]
        passes.append(seen)
    assert set(passes[0]) == set(passes[1]) == {frame.tobytes() for frame in data.eo}
    assert passes[0] != passes[1]
    again = module.CaptureBatches(data, 4, 7, noise=False)
    again.piece = 3
    np.testing.assert_array_equal(again[1][0]["draws"], batches[1][0]["draws"])


def test_windows_show_an_object_where_their_truth_says_it_is(sets):
    from models.training.batches import CaptureBatches
    from models.training.data import load_arrays

    data = load_arrays(sets["train"], 128, 160)
    batches = CaptureBatches(data, 16, 3, noise=False, window=(64, 96))
    batch = batches[0][0]
    assert batch["eo"].shape == (16, 64, 96, 3)
    order = np.random.default_rng([3, 0]).permutation(16)
    for row, index in enumerate(order):
        assert (data.state[index] == 1).sum() == 0 or (batch["state"][row] != 0).any()
        for slot in np.flatnonzero(batch["state"][row] == 1):
            x0, y0, x1, y1 = (round(float(v)) for v in batch["boxes"][row, slot])
            fx, fy = (round(float(v)) for v in data.boxes[index, slot][:2])
            if x0 > 0 and y0 > 0:  # not cut: the same pixels as in the frame
                seen = batch["lwir"][row, y0:y1, x0:x1]
                np.testing.assert_array_equal(seen, data.lwir[index, fy : fy + y1 - y0, fx : fx + x1 - x0])


def test_the_rate_warms_up_holds_and_falls_to_a_hundredth():
    from models.training.fit import WarmHoldDecay

    rate = WarmHoldDecay(2.0, steps=100, warmup=0.1, decay=0.5)
    values = [float(rate(step)) for step in range(100)]
    assert values[:10] == pytest.approx([0.2 * (step + 1) for step in range(10)])
    assert values[10:55] == pytest.approx([2.0] * 45)
    assert all(after < before for before, after in pairwise(values[55:]))
    assert 0.02 < values[-1] < 0.03


def test_another_size_of_frame_starts_from_trained_weights_with_objects_farther_away(
    trained, sets, recipe, tmp_path, monkeypatch
):
    from models.training import batches, train

    monkeypatch.setattr(batches, "PIECE_STEPS", 2)  # an epoch of two pieces

    network, _, _ = trained
    options = {**recipe.network.options, "height": 128, "width": 160, "attention": [[8, 2, 8], [8, 2, 4]]}
    fit = dataclasses.replace(
        recipe.fit, start=recipe.name, learning_rate=0.0, epochs=1, frozen_norm=True, accumulate=2
    )
    larger = dataclasses.replace(
        recipe, name="larger", network=dataclasses.replace(recipe.network, options=options), fit=fit
    )
    with pytest.raises(RecipeError, match="starts from a network of recipe 'fusion-small-smoke', but none was given"):
        train(larger, sets["train"], None, tmp_path)
    events = []
    found = values(train(larger, sets["train"], None, tmp_path, events.append, start=network))
    assert [e.done for e in events if e.stage is Stage.TRAINING] == [1, 2, 3, 4]
    taken = dataclasses.replace(larger, fit=dataclasses.replace(fit, epochs=0))
    same = values(train(taken, sets["train"], None, tmp_path / "taken", start=network))
    for name, value in values(network).items():
        octave = np.array([0.5, 0.0]) if name.startswith("kin_") and name.endswith("bias") else 0.0
        np.testing.assert_allclose(found[name], value + octave, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(same[name], value + octave, atol=1e-6, err_msg=name)


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
