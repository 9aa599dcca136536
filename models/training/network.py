"""A trained float network as a value: weights, recipe and history, in a plain folder.

weights.npz    by layer and variable name
recipe.toml    the whole recipe, defaults included
history.json   one record an epoch, seeds, digests of the data, versions of the libraries
tensorboard/   the same records as scalars
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from models.errors import TrainingError
from models.networks import build
from models.training.export import export_float
from models.training.history import EpochRecord
from models.training.recipe import Recipe
from models.training.weights import (
    assign_variables,
    load_arrays_file,
    named_variables,
    save_arrays_file,
    weights_digest,
)

__all__ = ["TrainedNetwork", "read_record", "write_record"]

_SCHEMA = 1


@dataclass(frozen=True)
class TrainedNetwork:
    """A float network after training.

    Attributes:
        model: in training form (with batch normalization), holding the averaged weights.
        recipe: how it was trained.
        history: what each epoch came to.
        data: digests of the sets that it saw, by role.
    """

    model: keras.Model
    recipe: Recipe
    history: tuple[EpochRecord, ...]
    data: Mapping[str, str]

    @property
    def ap50(self) -> float | None:
        """AP50 on the validation set after the last epoch, None if there was no set."""
        return self.history[-1].ap50 if self.history else None

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the weights by name."""
        return weights_digest(self.model)

    def export(self) -> bytes:
        """Return the network as a float .tflite, batch 1, named inputs and outputs, batch norm in the convolutions."""
        return export_float(self.model)

    def save(self, folder: Path) -> None:
        """Write the network; ``load(folder)`` gives an equal one."""
        folder.mkdir(parents=True, exist_ok=True)
        save_arrays_file(folder / "weights.npz", {n: v.numpy() for n, v in named_variables(self.model).items()})
        (folder / "recipe.toml").write_text(self.recipe.to_toml())
        write_record(folder / "history.json", self.recipe, self.history, self.data)

    @classmethod
    def load(cls, folder: Path) -> TrainedNetwork:
        """Read a network.

        Raises:
            TrainingError: the folder holds none, or a damaged one.
        """
        if not (folder / "weights.npz").is_file():
            raise TrainingError(f"{folder} holds no trained network; train one first")
        recipe = Recipe.load(folder / "recipe.toml")
        history, data = read_record(folder / "history.json")
        model = build(recipe.network.name, **recipe.network.options)
        assign_variables(model, load_arrays_file(folder / "weights.npz"), folder)
        return cls(model, recipe, history, data)


def write_record(path: Path, recipe: Recipe, history: tuple[EpochRecord, ...], data: Mapping[str, str]) -> None:
    """Write how a network came to be."""
    import tensorflow as tf

    record = {
        "schema": _SCHEMA,
        "seed": recipe.seed,
        "recipe": recipe.digest,
        "data": dict(data),
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__},
        "epochs": [asdict(item) for item in history],
    }
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def read_record(path: Path) -> tuple[tuple[EpochRecord, ...], dict[str, str]]:
    """Read what `write_record` wrote: history and digests of the data.

    Raises:
        TrainingError: it cannot be read, or is none.
    """
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return tuple(EpochRecord(**item) for item in record["epochs"]), dict(record["data"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise TrainingError(f"{path} cannot be read: {error}; train again") from error
