"""Starting from another network's weights: the same layers at another size of frame."""

from __future__ import annotations

import math

import keras
import numpy as np

from models.errors import RecipeError
from models.heads import RANGE_LOG2_SCALE
from models.networks import frame_size
from models.training.network import TrainedNetwork
from models.training.recipe import Recipe
from models.training.weights import assign_variables, named_variables

__all__ = ["check_start", "start_from"]


def check_start(recipe: Recipe, start: TrainedNetwork | None) -> None:
    """Check that ``start`` is what ``recipe`` starts from.

    Raises:
        RecipeError: it is not, or is missing; says what to train first.
    """
    wanted, found = recipe.fit.start, "" if start is None else start.recipe.name
    if wanted != found:
        need = f"starts from a network of recipe {wanted!r}" if wanted else "starts from fresh weights"
        given = f"one of recipe {found!r} was given" if found else "none was given"
        raise RecipeError(f"recipe {recipe.name!r} {need}, but {given}")


def start_from(model: keras.Model, start: TrainedNetwork) -> None:
    """Give ``model`` the weights of ``start``.

    Over one field of view, frames of k times the width show what is k times as far at the same size: the range that
    the heads answer grows by log2 k.

    Raises:
        TrainingError: the networks have other layers; names the variable.
    """
    values = {name: variable.numpy() for name, variable in named_variables(start.model).items()}
    farther = math.log2(frame_size(model)[1] / frame_size(start.model)[1]) / RANGE_LOG2_SCALE
    heads = [name for name in values if name.startswith("kin_") and name.endswith("/bias")]
    values |= {name: values[name] + np.array([farther, 0.0], np.float32) for name in heads}
    assign_variables(model, values, f"network of recipe {start.recipe.name!r}")
