"""Writes ``detector.tflite``, a small mixed INT8/INT16 detector with random weights.

Its outputs mean nothing; its inputs, outputs and types are those of a real one. Needs TensorFlow, the tests do not.
Run it as ``python tests/hil/make_detector.py``.
"""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf
from keras import layers

from models.quant.plan import Precision, PrecisionPlan, Rule
from models.quant.ptq import quantize_ptq
from models.scenes import SceneSpec, generate


def float_graph() -> bytes:
    keras.utils.set_random_seed(5)
    eo, lwir = keras.Input((128, 160, 3), 1, name="eo"), keras.Input((128, 160, 1), 1, name="lwir")

    def conv(x, filters: int, name: str, stride: int = 2):
        x = layers.Conv2D(filters, 3, stride, padding="same", bias_initializer="random_normal", name=name)(x)
        return layers.ReLU(6.0, name=f"{name}_act")(x)

    both = layers.Concatenate(name="fuse")([conv(eo, 6, "eo_stem"), conv(lwir, 6, "lwir_stem")])
    trunk = conv(conv(both, 12, "trunk_a"), 16, "trunk_b")
    wide = layers.Activation("tanh", name="wide_norm")(layers.Conv2D(16, 1, name="wide_mix")(trunk))
    heads = {"cls_8": 6, "box_8": 4, "kin_8": 2}
    outputs = {
        name: layers.Conv2D(
            width, 1, bias_initializer=keras.initializers.Constant({"cls_8": -1.0, "box_8": 1.5, "kin_8": 0.0}[name]),
            name=f"head_{name[:3]}",
        )(wide)
        for name, width in heads.items()
    }  # fmt: skip
    model = keras.Model({"eo": eo, "lwir": lwir}, outputs)
    module = tf.Module()
    module.v = [v.value for v in model.variables]
    signature = [tf.TensorSpec(t.shape, tf.float32, name=t.name) for t in model.inputs]

    @tf.function(input_signature=signature)
    def run(*frames):
        return model(dict(zip([t.name for t in model.inputs], frames, strict=True)))

    module.f = run
    return tf.lite.TFLiteConverter.from_concrete_functions([run.get_concrete_function()], module).convert()


if __name__ == "__main__":
    plan = PrecisionPlan(Precision.INT8, (Rule("wide_*", Precision.INT16), Rule("???_8", Precision.INT16)), "mixed")
    captures = generate(SceneSpec(seed=11, count=8, name="calibration"))
    Path(__file__).with_name("detector.tflite").write_bytes(quantize_ptq(float_graph(), plan, captures).model)
