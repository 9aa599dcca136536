"""Named arrays on disk: weights and checkpoints, written whole or not at all, the same values in the same bytes."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from firmware_bridge.files import replacing
from models.errors import TrainingError

__all__ = ["assign_variables", "load_arrays_file", "named_variables", "save_arrays_file", "weights_digest"]


def save_arrays_file(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays; ``load_arrays_file(path)`` gives equal ones. A crash leaves the old file or the new one."""
    with replacing(path) as file:
        np.savez(file, **{name: np.asarray(arrays[name]) for name in sorted(arrays)})


def load_arrays_file(path: Path) -> dict[str, NDArray[Any]]:
    """Read arrays.

    Raises:
        TrainingError: the file is missing or damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise TrainingError(f"{path} cannot be read: {error}; train again") from error


def named_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Return the model's variables by layer and variable name, e.g. ``eo_stem/kernel``."""
    found: dict[str, keras.Variable] = {}
    for layer in model.layers:
        for variable in layer.variables:
            found[f"{layer.name}/{variable.name}"] = variable
    return found


def weights_digest(model: keras.Model) -> str:
    """Return the SHA-256 (hex) of the model's variables by name."""
    digest = hashlib.sha256()
    for name, variable in sorted(named_variables(model).items()):
        digest.update(name.encode() + np.ascontiguousarray(variable.numpy()).tobytes())
    return digest.hexdigest()


def assign_variables(model: keras.Model, values: Mapping[str, NDArray[Any]], where: Path | str) -> None:
    """Give the model's variables the values of these names.

    Raises:
        TrainingError: one is missing or has another shape.
    """
    for name, variable in named_variables(model).items():
        value = values.get(name)
        if value is None or tuple(value.shape) != tuple(variable.shape):
            found = "missing" if value is None else f"of shape {value.shape} instead of {tuple(variable.shape)}"
            raise TrainingError(f"{where}: {name} is {found}; it belongs to another network, train again")
        variable.assign(value)
