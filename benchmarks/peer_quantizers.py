"""The quantizers that people use today, with the settings that their documentation begins with: INT8, after training.

Both get the same float network and the same calibration captures as ours. They give a ``.tflite`` that runs as ours do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import keras
import numpy as np
from numpy.typing import NDArray

from models.captures import CaptureSet
from models.networks import feed, frame_size
from models.preprocess import network_frames, to_unit

__all__ = ["converter_graph", "converter_int8", "edge_quantizer_graph", "edge_quantizer_int8"]

Feeds = Iterable[dict[str, NDArray[Any]]]


def converter_int8(model: keras.Model, calibration: CaptureSet) -> bytes:
    """Quantize a fusion network by TensorFlow's own converter."""
    return converter_graph(model, list(_feeds(model, calibration)), "int8")


def converter_graph(model: keras.Model, feeds: Feeds, precision: str) -> bytes:
    """Quantize by TensorFlow's own converter: full integer, a representative dataset, integer inputs and outputs.

    Args:
        model: inputs and outputs are dicts by name.
        feeds: the representative dataset.
        precision: ``int8``, or ``int16`` for 16-bit activations and 8-bit weights.
    """
    import tensorflow as tf

    signature = {n: tf.TensorSpec((1, *t.shape[1:]), tf.float32, name=n) for n, t in model.input.items()}

    def run(frames: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return cast("dict[str, tf.Tensor]", model(frames, training=False))

    serve = tf.function(run, input_signature=[signature], autograph=False)
    module = tf.Module()
    module.held = [variable.value for variable in model.variables]
    module.serve = serve
    converter = tf.lite.TFLiteConverter.from_concrete_functions([serve.get_concrete_function()], module)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: iter(feeds)
    sets = tf.lite.OpsSet
    wide = sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    # Some 16-bit kernels are missing there; its own guide adds the float set.
    converter.target_spec.supported_ops = (
        [sets.TFLITE_BUILTINS_INT8] if precision == "int8" else [wide, sets.TFLITE_BUILTINS]
    )
    converter.inference_input_type = converter.inference_output_type = tf.int8 if precision == "int8" else tf.int16
    return bytes(converter.convert())


def edge_quantizer_int8(float_tflite: bytes, model: keras.Model, calibration: CaptureSet) -> bytes:
    """Quantize a fusion network by litert-quantizer."""
    return edge_quantizer_graph(float_tflite, list(_feeds(model, calibration)), "int8")


def edge_quantizer_graph(float_tflite: bytes, feeds: Feeds, precision: str) -> bytes:
    """Quantize by litert-quantizer: its static recipe and its own calibration (a moving average)."""
    from litert_quantizer import quantizer, recipe

    work = quantizer.Quantizer(float_tflite)
    work.load_quantization_recipe(recipe.static_wi8_ai8() if precision == "int8" else recipe.static_wi8_ai16())
    statistics = work.calibrate({"serving_default": list(feeds)})
    made = work.quantize(statistics, enable_progress_report=False).quantized_model
    assert made is not None
    return bytes(made)


def _feeds(model: keras.Model, calibration: CaptureSet) -> Iterator[dict[str, NDArray[Any]]]:
    height, width = frame_size(model)
    for index in range(len(calibration)):
        eo, lwir, _ = network_frames(calibration, index, height, width)
        yield {
            name: np.asarray(value)
            for name, value in feed(model, to_unit(eo)[None], to_unit(lwir)[None, ..., None]).items()
        }
