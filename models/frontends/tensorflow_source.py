"""Keras 3 files and SavedModels, by TensorFlow's own converter. Imports TensorFlow when called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from models.errors import DataError
from models.frontends.reference import Conversion, random_inputs

__all__ = ["from_keras", "from_saved_model"]

Shapes = Mapping[str, tuple[int, ...]]


def from_keras(path: Path, shapes: Shapes) -> Conversion:
    """Convert a Keras 3 file (``.keras``).

    Raises:
        DataError: it cannot be loaded or converted, or a dimension other than the batch is open.
    """
    import keras

    try:
        model = keras.models.load_model(path, compile=False)
    except Exception as error:
        raise DataError(f"{path} cannot be loaded as a Keras 3 file: {_line(error)}") from error
    inputs = {tensor.name.split(":")[0]: tuple(tensor.shape) for tensor in model.inputs}
    names = list(inputs)

    def run(*values: Any) -> dict[str, Any]:
        structure = model.input if isinstance(model.input, dict) else None
        fed = dict(zip(names, values, strict=True))
        given = fed if structure is not None else list(values) if len(values) > 1 else values[0]
        return _named(model(given, training=False), list(model.output_names))

    return _converted(path, run, inputs, shapes, [variable.value for variable in model.variables])


def from_saved_model(folder: Path, shapes: Shapes) -> Conversion:
    """Convert the signature ``serving_default`` of a SavedModel, or its only one.

    Raises:
        DataError: as for `from_keras`.
    """
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(str(folder))
    except Exception as error:
        raise DataError(f"{folder} cannot be loaded as a SavedModel: {_line(error)}") from error
    signatures = dict(loaded.signatures)
    name = "serving_default" if "serving_default" in signatures else next(iter(signatures), "")
    if len(signatures) != 1 and name != "serving_default":
        raise DataError(f"{folder} has the signatures {', '.join(signatures) or '(none)'}; it needs serving_default")
    signature = signatures[name]
    inputs = {key: tuple(spec.shape) for key, spec in signature.structured_input_signature[1].items()}

    def run(*values: Any) -> dict[str, Any]:
        return dict(signature(**dict(zip(inputs, values, strict=True))))

    return _converted(folder, run, inputs, shapes, loaded)


def _converted(
    path: Path, run: Callable[..., dict[str, Any]], inputs: Mapping[str, tuple[int | None, ...]], shapes: Shapes,
    variables: Any,
) -> Conversion:  # fmt: skip
    import tensorflow as tf

    changes: list[str] = []
    fixed = {name: _fixed(path, name, shape, shapes, changes) for name, shape in inputs.items()}
    module = tf.Module()
    module.held = variables
    module.run = tf.function(run, input_signature=[tf.TensorSpec(s, tf.float32, name=n) for n, s in fixed.items()])
    feed = random_inputs(fixed)
    try:
        concrete = module.run.get_concrete_function()
        outputs = {name: np.asarray(value) for name, value in concrete(*map(tf.constant, feed.values())).items()}
        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], module)
        model = bytes(converter.convert())
    except Exception as error:
        raise DataError(f"{path} cannot be converted by TensorFlow: {_line(error)}") from error
    return Conversion(model, dict(feed), outputs, tuple(changes))


def _fixed(path: Path, name: str, shape: tuple[int | None, ...], shapes: Shapes, changes: list[str]) -> tuple[int, ...]:
    if name in shapes:
        changes.append(f"input {name}: {_shown(shape)} became {_shown(shapes[name])}, as given")
        return tuple(shapes[name])
    fixed = tuple(1 if side is None and place == 0 else side for place, side in enumerate(shape))
    if fixed != shape:
        changes.append(f"input {name}: the batch is 1 now")
    if None in fixed:
        raise DataError(f"{path}: input {name} is {_shown(shape)}; give its size with --shape {name}=1,HEIGHT,WIDTH,3")
    return tuple(side for side in fixed if side is not None)


def _shown(shape: tuple[int | None, ...]) -> str:
    return "[" + ", ".join("?" if side is None else str(side) for side in shape) + "]"


def _named(outputs: Any, names: list[str]) -> dict[str, Any]:
    if isinstance(outputs, dict):
        return outputs
    values = list(outputs) if isinstance(outputs, (list, tuple)) else [outputs]
    unique = names if len(set(names)) == len(values) else [f"output_{index}" for index in range(len(values))]
    return dict(zip(unique, values, strict=True))


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {next((line for line in str(error).splitlines() if line.strip()), '')}"[:300]
