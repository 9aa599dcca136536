"""Networks that ship: found by name, whole, and what their record says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from models import zoo
from models.errors import RecipeError, TrainingError


@pytest.fixture(scope="module")
def shelf(trained, sets, tmp_path_factory):
    """A folder with the smoke network published in it, and its record."""
    from models.training import TrainedNetwork
    from models.zoo.publish import publish

    folder = tmp_path_factory.mktemp("zoo")
    network = TrainedNetwork.load(trained[1])
    made = publish(network, [sets["validation"]], folder, captures=["ks100 scenes pools"], commit="abc")
    return folder, made


def test_a_published_network_loads_with_the_weights_of_its_record(shelf, trained):
    from models.training.weights import named_variables

    folder, made = shelf
    network = zoo.load("fusion-small-smoke", folder)
    assert network.digest == made.weights_sha256
    assert network.recipe == trained[0].recipe
    for name, variable in named_variables(trained[0].model).items():
        found = named_variables(network.model)[name].numpy()
        np.testing.assert_array_equal(found, variable.numpy().astype(np.float16).astype(np.float32), err_msg=name)


def test_a_record_says_what_the_weights_as_shipped_come_to_by_condition(shelf, sets):
    from models.training.validate import evaluated

    folder, made = shelf
    found = evaluated(zoo.load("fusion-small-smoke", folder).model, sets["validation"])
    whole = next(part for part in made.figures if part.axis == "all")
    assert whole.ap50 == pytest.approx(found.ap50, abs=1e-4)
    assert len(made.figures) == len(found.slices)
    assert [(point.stage, point.epoch) for point in made.curve] == [
        ("fusion-small-smoke", 1),
        ("fusion-small-smoke", 2),
    ]


def test_weights_that_are_not_the_records_are_refused(shelf, tmp_path):
    folder, made = shelf
    (tmp_path / "fusion-small-smoke.npz").write_bytes((folder / "fusion-small-smoke.npz").read_bytes())
    other = dataclasses.replace(made, weights_sha256="0" * 64)
    zoo.RECORD.save(other, tmp_path / "fusion-small-smoke.json")
    with pytest.raises(TrainingError, match="does not have the weights of its record"):
        zoo.load("fusion-small-smoke", tmp_path)
    (tmp_path / "fusion-small-smoke.json").write_text("{}")
    with pytest.raises(TrainingError, match="not the record of a network"):
        zoo.record("fusion-small-smoke", tmp_path)
    with pytest.raises(RecipeError, match="no network 'nothing' ships"):
        zoo.load("nothing")


@pytest.mark.parametrize("name", zoo.known_networks())
def test_a_shipped_network_is_small_and_whole(name):
    from importlib import resources

    file = resources.files("models.zoo").joinpath(f"{name}.npz")
    assert len(file.read_bytes()) <= 12e6
    assert zoo.load(name).recipe.name == name
    assert {part.pool for part in zoo.record(name).figures} >= {"validation", "hard-dev"}
