"""The zoo: trained float networks that ship with the project, loaded by name, each with a record of its origin.

NAME.npz     weights in 16 bits, by layer and variable name
NAME.json    its record: recipe, data, seed, commit, digest of the weights, figures by condition, learning curve

`models.zoo.publish` writes both from a trained network. TensorFlow is imported when a network is loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import RecipeError, TrainingError
from models.records import RecordFile

if TYPE_CHECKING:
    from models.training.network import TrainedNetwork

__all__ = ["RECORD", "ConditionFigures", "CurvePoint", "NetworkRecord", "known_networks", "load", "record"]


@dataclass(frozen=True, slots=True)
class ConditionFigures:
    """Figures of a network in one category of one condition axis of a pool; ``all``, ``all`` is the whole pool.

    Attributes:
        pool: the set.
        axis: e.g. ``thermal``.
        category: e.g. ``crossover``.
        frames: frames in it.
        objects: objects that are not ignored.
        ap50: average precision at IoU 0.5 in [0, 1]; NaN without objects.
        recall: at one false alarm a frame; NaN without objects.
        range_error: median relative error of the range; NaN where nothing was found.
        velocity_error_mps: median error of the radial velocity; NaN where nothing was found.
    """

    pool: str
    axis: str
    category: str
    frames: int
    objects: int
    ap50: float
    recall: float
    range_error: float
    velocity_error_mps: float


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """Figures of one epoch of a stage: a point of the learning curve.

    Attributes:
        stage: the recipe's name.
        epoch: from 1.
        loss: mean of the total loss.
        classes: its part for classes.
        boxes: its part for boxes.
        kinematics: its part for range and velocity.
        seconds: wall time.
        ap50: on the stage's validation set in [0, 1]; NaN where not measured.
    """

    stage: str
    epoch: int
    loss: float
    classes: float
    boxes: float
    kinematics: float
    seconds: float
    ap50: float


@dataclass(frozen=True, slots=True)
class NetworkRecord:
    """Origin and figures of a shipped network.

    Attributes:
        name: of the network.
        recipe: the last stage's recipe, as TOML.
        weights_sha256: digest of the weights as loaded.
        data: digests of the sets of its last stage and of its initial network, by role.
        captures: the commands that generate its captures and train it.
        commit: of the code that trained it.
        figures: by pool and condition.
        curve: the learning curve, over all stages.
        notes: remarks for users.
    """

    name: str
    recipe: str
    weights_sha256: str
    data: dict[str, str]
    captures: tuple[str, ...]
    commit: str
    figures: tuple[ConditionFigures, ...]
    curve: tuple[CurvePoint, ...]
    notes: str = ""


RECORD = RecordFile(NetworkRecord, "the record of a network", 1, "publish the network again", TrainingError)
"""The file format of records."""


def known_networks() -> tuple[str, ...]:
    """Return the names of the networks that ship with the project."""
    return tuple(sorted(item.name.removesuffix(".json") for item in _folder().iterdir() if item.name.endswith(".json")))


def record(name: str, folder: Path | None = None) -> NetworkRecord:
    """Return a shipped network's record.

    Args:
        name: one of `known_networks`.
        folder: where to look instead of the installed zoo.

    Raises:
        RecipeError: there is none of this name.
        TrainingError: it is damaged.
    """
    path = (folder or _folder()) / f"{name}.json"
    if not path.is_file():
        known = ", ".join(known_networks()) or "none"
        raise RecipeError(f"no network {name!r} ships with the project; shipped are: {known}")
    return RECORD.load(path)


def load(name: str, folder: Path | None = None) -> TrainedNetwork:
    """Return a shipped network, with its weights checked against the record's digest.

    Raises:
        TrainingError: there is no such network, or it is damaged.
    """
    from models.networks import build
    from models.training.history import EpochRecord
    from models.training.network import TrainedNetwork
    from models.training.recipe import Recipe
    from models.training.weights import assign_variables, load_arrays_file

    found = record(name, folder)
    path = (folder or _folder()) / f"{name}.npz"
    recipe = Recipe.parse(found.recipe, name)
    model = build(recipe.network.name, **recipe.network.options)
    assign_variables(model, load_arrays_file(path), path)
    history = tuple(
        EpochRecord(p.epoch, p.loss, p.classes, p.boxes, p.kinematics, p.seconds, None if isnan(p.ap50) else p.ap50)
        for p in found.curve
        if p.stage == name
    )
    network = TrainedNetwork(model, recipe, history, found.data)
    if network.digest != found.weights_sha256:
        raise TrainingError(f"{path} does not have the weights of its record; reinstall the project")
    return network


def _folder() -> Path:
    return Path(str(resources.files("models.zoo")))
