"""A small float network with every kind of operation that a fusion network uses, converted once a session."""

from __future__ import annotations

import numpy as np
import pytest


def _small_network():
    """Two encoders, one cross-attention with pooled keys, tanh normalisation, upsampling, three heads."""
    import keras
    from keras import layers, ops

    keras.utils.set_random_seed(7)

    def conv(x, filters, name, stride=1, kernel=3):
        x = layers.Conv2D(filters, kernel, stride, padding="same", bias_initializer="random_normal", name=name)(x)
        return layers.ReLU(6.0, name=f"{name}_act")(x)

    eo, lwir = keras.Input((16, 24, 3), 1, name="eo"), keras.Input((16, 24, 1), 1, name="lwir")
    a = conv(eo, 8, "eo_stem", 2)
    a = layers.DepthwiseConv2D(3, padding="same", name="eo_dw")(a)
    a = layers.ReLU(6.0, name="eo_dw_act")(a)
    b = conv(lwir, 8, "lwir_stem", 2)
    b = layers.Add(name="lwir_add")([b, conv(b, 8, "lwir_res")])

    alpha = keras.Variable(np.full((8,), 0.7, np.float32), name="alpha")
    n = layers.Lambda(lambda t: t * alpha, name="fusion_norm_scale")(a)
    n = layers.Activation("tanh", name="fusion_norm")(n)
    pooled = layers.AveragePooling2D(2, name="fusion_pool")(b)
    q = layers.Conv2D(8, 1, name="fusion_q")(n)
    k = layers.Conv2D(8, 1, name="fusion_k")(pooled)
    v = layers.Conv2D(8, 1, name="fusion_v")(pooled)
    q = layers.Lambda(lambda t: ops.transpose(ops.reshape(t, (1, 96, 2, 4)), (0, 2, 1, 3)), name="fusion_q_heads")(q)
    k = layers.Lambda(lambda t: ops.transpose(ops.reshape(t, (1, 24, 2, 4)), (0, 2, 3, 1)), name="fusion_k_heads")(k)
    v = layers.Lambda(lambda t: ops.transpose(ops.reshape(t, (1, 24, 2, 4)), (0, 2, 1, 3)), name="fusion_v_heads")(v)
    logits = layers.Lambda(lambda t: ops.matmul(t[0], t[1]), name="fusion_logits")([q, k])
    weights = layers.Softmax(name="fusion_softmax")(logits)
    mixed = layers.Lambda(lambda t: ops.matmul(t[0], t[1]), name="fusion_mix")([weights, v])
    mixed = layers.Lambda(lambda t: ops.reshape(ops.transpose(t, (0, 2, 1, 3)), (1, 8, 12, 8)), name="fusion_merge")(
        mixed
    )
    mixed = layers.Conv2D(8, 1, name="fusion_out")(mixed)
    fused = layers.Add(name="fusion_add")([a, mixed])

    low = conv(fused, 12, "neck_down", 2)
    up = layers.Lambda(lambda t: ops.image.resize(t, (8, 12), interpolation="nearest"), name="neck_up")(low)
    both = layers.Concatenate(name="neck_concat")([up, fused])
    trunk = conv(both, 12, "head_trunk")
    gate = layers.Conv2D(12, 1, activation="sigmoid", name="head_gate")(trunk)
    trunk = layers.Multiply(name="head_scale")([trunk, gate])
    outputs = {
        "cls_2": layers.Conv2D(6, 1, name="head_cls")(trunk),
        "box_2": layers.Conv2D(4, 1, name="head_box")(trunk),
        "kin_2": layers.Conv2D(2, 1, name="head_kin")(trunk),
    }
    # A name that a rule for the attention must not match: it stands in front of every path.
    return keras.Model({"eo": eo, "lwir": lwir}, outputs, name="fusion_small"), [alpha]


def _convert(model, extra) -> bytes:
    """Convert as FACTS of the stack demand: frozen through a module that holds the variables."""
    import tensorflow as tf

    module = tf.Module()
    module.v = [v.value for v in [*model.variables, *extra]]
    signature = [tf.TensorSpec(t.shape, tf.float32, name=t.name) for t in model.inputs]

    @tf.function(input_signature=signature)
    def run(*frames):
        return model(dict(zip([t.name for t in model.inputs], frames, strict=True)))

    module.f = run
    return tf.lite.TFLiteConverter.from_concrete_functions([run.get_concrete_function()], module).convert()


@pytest.fixture(scope="session")
def float_graph() -> bytes:
    """A float .tflite; the outputs keep their signature names."""
    return _convert(*_small_network())


@pytest.fixture(scope="session")
def samples() -> list[dict[str, np.ndarray]]:
    """Smooth random frames in [0, 1]; neighbouring pixels are alike, as in a picture."""
    rng = np.random.default_rng(3)
    found = []
    for _ in range(24):
        coarse = rng.random((1, 4, 6, 4)).repeat(4, 1).repeat(4, 2)
        frame = np.clip(coarse * 0.8 + rng.random((1, 16, 24, 4)) * 0.2, 0, 1).astype(np.float32)
        eight_bit = np.round(frame * 255) / np.float32(255)
        found.append({"eo": eight_bit[..., :3].astype(np.float32), "lwir": eight_bit[..., 3:].astype(np.float32)})
    return found
