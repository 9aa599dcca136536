"""From a Keras network to a float .tflite with batch 1 and named inputs and outputs.

Owns the one conversion route that freezes Keras 3 variables and keeps signature names on this stack.
"""

from __future__ import annotations

import keras
import tensorflow as tf

__all__ = ["export_float"]


def export_float(model: keras.Model) -> bytes:
    """Convert a functional Keras model to a float32 .tflite, batch 1.

    The signature's inputs and outputs carry the model's own names; inner tensors carry their layers' names.

    Args:
        model: inputs a dict by name, outputs a dict by name.
    """
    signature = {
        name: tf.TensorSpec((1, *tensor.shape[1:]), tf.float32, name=name) for name, tensor in model.input.items()
    }

    @tf.function(input_signature=[signature], autograph=False)
    def serve(frames: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        return model(frames, training=False)

    # A concrete function alone leaves Keras 3 variables unfrozen: the module has to hold them.
    module = tf.Module()
    module.held = [variable.value for variable in model.variables]
    module.serve = serve
    converter = tf.lite.TFLiteConverter.from_concrete_functions([serve.get_concrete_function()], module)
    return bytes(converter.convert())
