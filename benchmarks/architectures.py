"""Small networks of common architectures, made with Keras, with fresh weights and live statistics.

Each takes ``image`` [1, h, w, c] in [0, 1]. What matters is that their converted graphs have the operations and shapes
of the real ones; they are trained for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from numpy.typing import NDArray

from models.quant.feeds import Sample
from models.training.export import export_float

__all__ = ["ARCHITECTURES", "STANDARD_ATTENTION", "float_graph", "network", "pictures"]

STANDARD_ATTENTION = frozenset({"detr", "swin", "vit"})
"""Those with a softmax over unbounded logits and LayerNorm."""


def _unit(
    x: Any, filters: int, kernel: int = 3, stride: int = 1, act: str = "relu6", *, depthwise: bool = False
) -> Any:
    """Convolution, batch norm, activation."""
    kind: dict[str, Any] = {"strides": stride, "padding": "same", "use_bias": False}
    x = (layers.DepthwiseConv2D(kernel, **kind) if depthwise else layers.Conv2D(filters, kernel, **kind))(x)
    x = layers.BatchNormalization(momentum=0.0)(x)
    if act == "silu":
        return layers.Multiply()([x, layers.Activation("sigmoid")(x)])
    if act == "hard_swish":
        return layers.Activation(act)(x)
    return layers.ReLU(6.0 if act == "relu6" else None)(x) if act else x


def _mobilenet_v2() -> keras.Model:
    image = keras.Input((48, 48, 3), 1, name="image")
    x = _unit(image, 16, 3, 2)
    for filters, stride, growth, count in ((8, 1, 1, 1), (12, 2, 6, 2), (16, 2, 6, 2), (24, 1, 6, 2)):
        for number in range(count):
            y = _unit(x, x.shape[-1] * growth, 1) if growth > 1 else x
            y = _unit(y, 0, 3, 1 if number else stride, depthwise=True)
            y = _unit(y, filters, 1, act="")
            x = layers.Add()([x, y]) if number else y
    x = layers.GlobalAveragePooling2D(keepdims=True)(_unit(x, 96, 1))
    return keras.Model({"image": image}, {"logits": layers.Reshape((20,))(layers.Conv2D(20, 1)(x))})


def _resnet8() -> keras.Model:
    image = keras.Input((32, 32, 3), 1, name="image")
    x = _unit(image, 16, act="relu")
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        y = _unit(_unit(x, filters, 3, stride, "relu"), filters, act="")
        x = layers.Conv2D(filters, 1, stride, padding="same")(x) if stride > 1 else x
        x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.Dense(10)(layers.Flatten()(layers.AveragePooling2D(8)(x)))
    return keras.Model({"image": image}, {"probabilities": layers.Softmax()(x)})


def _ds_cnn() -> keras.Model:
    image = keras.Input((49, 10, 1), 1, name="image")
    x = layers.Conv2D(32, (10, 4), 2, padding="same")(image)
    x = layers.ReLU()(x)
    for _ in range(4):
        x = _unit(_unit(x, 0, act="relu", depthwise=True), 32, 1, act="relu")
    x = layers.Dense(12)(layers.Flatten()(layers.AveragePooling2D((25, 5))(x)))
    return keras.Model({"image": image}, {"logits": x})


class _LayerNorm(layers.Layer):  # type: ignore[misc] # Keras has no types
    """Normalization of each token, written as MEAN, SUB, MUL and RSQRT."""

    def build(self, shape: Any) -> None:
        uniform = keras.initializers.RandomUniform
        self.gain = self.add_weight(shape=(shape[-1],), initializer=uniform(0.5, 1.5))
        self.shift = self.add_weight(shape=(shape[-1],), initializer=uniform(-0.5, 0.5))

    def call(self, x: Any) -> Any:
        centred = x - ops.mean(x, -1, keepdims=True)
        variance = ops.mean(centred * centred, -1, keepdims=True)
        return centred * ops.rsqrt(variance + 1e-5) * self.gain + self.shift


def _heads(x: Any, heads: int, *, keys: bool = False) -> Any:
    _, count, width = x.shape
    order = (0, 2, 3, 1) if keys else (0, 2, 1, 3)
    return ops.transpose(ops.reshape(x, (1, count, heads, width // heads)), order)


def _attention(x: Any, width: int, heads: int) -> Any:
    """Standard attention over all tokens; the queries' gain makes logits that a softmax peaks on."""
    normal = keras.initializers.RandomNormal
    query = layers.Dense(width, kernel_initializer=normal(stddev=6 / np.sqrt(width)))(x)
    key = layers.Dense(width, kernel_initializer=normal(stddev=1 / np.sqrt(width)))(x)
    value = layers.Dense(width)(x)
    logits = ops.matmul(_heads(query, heads), _heads(key, heads, keys=True)) * (width // heads) ** -0.5
    mixed = ops.matmul(layers.Softmax()(logits), _heads(value, heads))
    return layers.Dense(width)(ops.reshape(ops.transpose(mixed, (0, 2, 1, 3)), (1, x.shape[1], width)))


def _vit() -> keras.Model:
    width, heads = 32, 2
    image = keras.Input((32, 32, 3), 1, name="image")
    x = layers.Reshape((64, width))(layers.Conv2D(width, 4, 4)(image))
    x = x + ops.convert_to_tensor(np.random.default_rng(4).normal(0, 0.3, (1, 64, width)).astype(np.float32))
    for _ in range(2):
        x = layers.Add()([x, _attention(_LayerNorm()(x), width, heads)])
        y = layers.Activation("gelu")(layers.Dense(4 * width)(_LayerNorm()(x)))
        x = layers.Add()([x, layers.Dense(width)(y)])
    return keras.Model({"image": image}, {"logits": layers.Dense(10)(ops.mean(_LayerNorm()(x), 1))})


def _split_block(x: Any, filters: int) -> Any:
    """Half of the channels through two convolutions, the other half around them, as YOLO's backbones have it."""
    x = _unit(x, filters, 1, act="silu")
    half = filters // 2
    inner = x[..., half:]
    y = _unit(_unit(inner, half, act="silu"), half, act="silu")
    return _unit(layers.Concatenate()([x[..., :half], inner, layers.Add()([inner, y])]), filters, 1, act="silu")


def _yolo() -> keras.Model:
    image = keras.Input((64, 64, 3), 1, name="image")
    x = _unit(_unit(image, 8, stride=2, act="silu"), 16, stride=2, act="silu")
    fine = _split_block(x, 16)
    coarse = _split_block(_unit(fine, 32, stride=2, act="silu"), 32)
    pooled = _unit(coarse, 16, 1, act="silu")
    once = layers.MaxPooling2D(5, 1, padding="same")(pooled)
    twice = layers.MaxPooling2D(5, 1, padding="same")(once)
    coarse = _unit(layers.Concatenate()([pooled, once, twice]), 32, 1, act="silu")
    raised = ops.image.resize(coarse, (16, 16), interpolation="nearest")
    fine = _split_block(layers.Concatenate()([raised, fine]), 16)
    outputs = {}
    for name, level in (("fine", fine), ("coarse", coarse)):
        outputs[f"classes_{name}"] = layers.Activation("sigmoid")(layers.Conv2D(5, 1)(_unit(level, 16, act="silu")))
        sides = layers.Conv2D(4 * 8, 1)(_unit(level, 16, act="silu"))
        cells = sides.shape[1] * sides.shape[2]
        shares = layers.Softmax()(layers.Reshape((cells, 4, 8))(sides))
        expected = ops.matmul(layers.Reshape((cells * 4, 8))(shares), np.arange(8, dtype=np.float32)[:, None])
        outputs[f"boxes_{name}"] = layers.Reshape((cells, 4))(expected)
    return keras.Model({"image": image}, outputs)


def _u_net() -> keras.Model:
    image = keras.Input((32, 32, 3), 1, name="image")
    high = _unit(image, 8, act="relu")
    middle = _unit(layers.MaxPooling2D()(high), 16, act="relu")
    low = _unit(layers.MaxPooling2D()(middle), 32, act="relu")
    x = layers.Concatenate()([layers.Conv2DTranspose(16, 2, 2)(low), middle])
    x = _unit(x, 16, act="relu")
    x = layers.Concatenate()([ops.image.resize(x, (32, 32), interpolation="bilinear"), high])
    return keras.Model({"image": image}, {"mask": layers.Conv2D(3, 1)(_unit(x, 8, act="relu"))})


def _inverted(x: Any, filters: int, stride: int, growth: int, act: str, *, squeeze: bool = False) -> Any:
    """An inverted bottleneck, with squeeze-and-excite if asked."""
    y = _unit(x, x.shape[-1] * growth, 1, act=act)
    y = _unit(y, 0, 3, stride, act, depthwise=True)
    if squeeze:
        z = layers.GlobalAveragePooling2D(keepdims=True)(y)
        z = layers.Conv2D(y.shape[-1], 1)(layers.Conv2D(max(4, y.shape[-1] // 4), 1, activation="relu")(z))
        y = layers.Multiply()([y, layers.Activation("hard_sigmoid")(z)])
    y = _unit(y, filters, 1, act="")
    return layers.Add()([x, y]) if stride == 1 and x.shape[-1] == filters else y


def _mobilenet_v3() -> keras.Model:
    image = keras.Input((48, 48, 3), 1, name="image")
    x = _inverted(_unit(image, 8, 3, 2, "hard_swish"), 12, 2, 2, "relu", squeeze=True)
    for filters, stride in ((16, 2), (16, 1), (24, 1)):
        x = _inverted(x, filters, stride, 4, "hard_swish", squeeze=True)
    x = layers.GlobalAveragePooling2D(keepdims=True)(_unit(x, 64, 1, act="hard_swish"))
    x = layers.Conv2D(20, 1)(layers.Activation("hard_swish")(layers.Conv2D(64, 1)(x)))
    return keras.Model({"image": image}, {"logits": layers.Reshape((20,))(x)})


def _efficientnet_lite() -> keras.Model:
    image = keras.Input((48, 48, 3), 1, name="image")
    x = _unit(image, 8, 3, 2)
    for filters, stride, growth in ((8, 1, 1), (12, 2, 6), (12, 1, 6), (20, 2, 6), (20, 1, 6), (24, 1, 6)):
        x = _inverted(x, filters, stride, growth, "relu6")
    x = layers.GlobalAveragePooling2D()(_unit(x, 96, 1))
    return keras.Model({"image": image}, {"probabilities": layers.Softmax()(layers.Dense(20)(x))})


def _swin() -> keras.Model:
    """Attention within windows of 4 x 4 cells, every other time of windows moved by two."""
    width, heads, side, window = 32, 2, 8, 4
    image = keras.Input((32, 32, 3), 1, name="image")
    x = layers.Conv2D(width, 4, 4)(image)
    count = side // window
    for moved in (0, 2):
        y = ops.roll(_LayerNorm()(x), (-moved, -moved), (1, 2)) if moved else _LayerNorm()(x)
        y = ops.reshape(y, (count, window, count, window, width))
        y = ops.reshape(ops.transpose(y, (0, 2, 1, 3, 4)), (count * count, window * window, width))
        y = _attention(y, width, heads)
        y = ops.transpose(ops.reshape(y, (count, count, window, window, width)), (0, 2, 1, 3, 4))
        y = ops.reshape(y, (1, side, side, width))
        x = layers.Add()([x, ops.roll(y, (moved, moved), (1, 2)) if moved else y])
        x = layers.Add()([x, layers.Conv2D(width, 1)(layers.Conv2D(2 * width, 1, activation="gelu")(_LayerNorm()(x)))])
    return keras.Model({"image": image}, {"logits": layers.Dense(10)(layers.GlobalAveragePooling2D()(_LayerNorm()(x)))})


def _ssd() -> keras.Model:
    image = keras.Input((64, 64, 3), 1, name="image")
    x = _unit(_unit(image, 8, 3, 2), 16, 3, 2)
    levels = [x := _inverted(x, 16, 2, 4, "relu6")]
    levels += [x := _inverted(x, 24, 2, 4, "relu6")]
    levels += [_inverted(x, 32, 2, 4, "relu6")]
    boxes, scores = [], []
    for level in levels:
        y = _unit(level, 0, depthwise=True)
        boxes.append(layers.Reshape((-1, 4))(layers.Conv2D(3 * 4, 1)(y)))
        scores.append(layers.Reshape((-1, 6))(layers.Conv2D(3 * 6, 1)(y)))
    both = {"boxes": layers.Concatenate(axis=1)(boxes), "scores": layers.Concatenate(axis=1)(scores)}
    return keras.Model({"image": image}, {**both, "scores": layers.Activation("sigmoid")(both["scores"])})


def _detr() -> keras.Model:
    """A small backbone, one encoder layer, one decoder layer of learned queries, classes and boxes."""
    width, heads, queries = 32, 2, 10
    image = keras.Input((64, 64, 3), 1, name="image")
    x = _unit(_unit(_unit(image, 8, 3, 2, "relu"), 16, 3, 2, "relu"), width, 3, 2, "relu")
    x = layers.Reshape((64, width))(x)
    x = _LayerNorm()(layers.Add()([x, _attention(x, width, heads)]))
    x = _LayerNorm()(layers.Add()([x, layers.Dense(width)(layers.Dense(2 * width, activation="relu")(x))]))
    start = np.random.default_rng(4).normal(0, 1, (1, queries, width)).astype(np.float32)
    keys, values = layers.Dense(width)(x), layers.Dense(width)(x)
    asked = layers.Dense(width)(ops.convert_to_tensor(start))
    logits = ops.matmul(_heads(asked, heads), _heads(keys, heads, keys=True)) * (width // heads) ** -0.5
    found = ops.matmul(layers.Softmax()(logits), _heads(values, heads))
    found = ops.reshape(ops.transpose(found, (0, 2, 1, 3)), (1, queries, width)) + start
    found = _LayerNorm()(found)
    return keras.Model(
        {"image": image},
        {"logits": layers.Dense(7)(found), "boxes": layers.Dense(4, activation="sigmoid")(found)},
    )


def _lstm() -> keras.Model:
    """A recurrent network over 12 frames of features, unrolled: what a runtime's own LSTM operation cannot be given."""
    image = keras.Input((12, 16, 1), 1, name="image")
    x = layers.LSTM(24, unroll=True)(layers.Reshape((12, 16))(image))
    return keras.Model({"image": image}, {"logits": layers.Dense(8)(x)})


ARCHITECTURES: Mapping[str, Callable[[], keras.Model]] = {
    "mobilenet_v2": _mobilenet_v2,
    "resnet8": _resnet8,
    "ds_cnn": _ds_cnn,
    "vit": _vit,
    "yolo": _yolo,
    "u_net": _u_net,
    "mobilenet_v3": _mobilenet_v3,
    "efficientnet_lite": _efficientnet_lite,
    "swin": _swin,
    "ssd": _ssd,
    "detr": _detr,
    "lstm": _lstm,
}
"""What builds each, by name."""


def network(name: str, seed: int = 3) -> keras.Model:
    """Return an architecture with fresh weights and live statistics."""
    keras.utils.set_random_seed(seed)
    model, random = ARCHITECTURES[name](), np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.gamma.assign(random.uniform(0.5, 1.5, layer.gamma.shape))
            layer.beta.assign(random.normal(0, 0.3, layer.beta.shape))
    model({"image": _picture(tuple(model.input["image"].shape), random)}, training=True)  # statistics
    return model


def float_graph(name: str, seed: int = 3) -> bytes:
    """Return the converted graph of an architecture."""
    return export_float(network(name, seed))


def pictures(graph_shape: tuple[int, ...], count: int, seed: int = 0) -> list[Sample]:
    """Return smooth random pictures of 8 bits."""
    random = np.random.default_rng(seed)
    return [Sample({"image": _picture(graph_shape, random)}) for _ in range(count)]


def _picture(shape: tuple[int, ...], random: np.random.Generator) -> NDArray[np.float32]:
    _, height, width, channels = shape
    coarse = random.random((1, height // 8 + 1, width // 8 + 1, channels)).repeat(8, 1).repeat(8, 2)
    mixed = 0.8 * coarse[:, :height, :width] + 0.2 * random.random((1, height, width, channels))
    return np.asarray(np.round(mixed * 255) / 255, np.float32)
