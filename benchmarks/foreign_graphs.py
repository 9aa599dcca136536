"""Float graphs as other people bring them: public architectures from Keras itself, briefly trained or not at all.

Each is small enough for minutes on two cores. Training is on blobs of four kinds in noise, so that activations and
batch statistics are those of a network that sees something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

__all__ = ["MADE", "Made", "blobs"]

_CLASSES = 4


@dataclass(frozen=True)
class Made:
    """One architecture.

    Attributes:
        name: its name in the table.
        shape: of its input, without the batch.
        build: makes it.
        steps: of training; 0 leaves it as Keras initialises it.
    """

    name: str
    shape: tuple[int, int, int]
    build: Callable[[Any], Any]
    steps: int

    def model(self) -> keras.Model:
        """Return the network, its input called ``x`` and its output ``y``."""
        keras.utils.set_random_seed(7)
        image = keras.Input(self.shape, name="x")
        logits = self.build(image)
        model = keras.Model(image, logits)
        if self.steps:
            model.compile(keras.optimizers.Adam(1e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
            model.fit(_batches(self.shape, self.steps), steps_per_epoch=self.steps, epochs=1, verbose=0)
        return keras.Model({"x": model.input}, {"y": model.output})


def blobs(shape: tuple[int, int, int], count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return float32 [count, *shape] in [0, 1] with a blob in one of four kinds, and the kinds int64 [count]."""
    rng = np.random.default_rng(seed)
    height, width, channels = shape
    y, x = np.mgrid[:height, :width]
    kinds = rng.integers(0, _CLASSES, count)
    images = rng.uniform(0, 0.4, (count, height, width, channels))
    for image, kind in zip(images, kinds, strict=True):
        cy, cx = rng.uniform(0.25, 0.75, 2) * (height, width)
        ry, rx = (height, width) * np.array([[0.1, 0.1], [0.25, 0.08], [0.08, 0.25], [0.22, 0.22]][kind])
        inside = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
        image[inside] = np.clip(image[inside] + rng.uniform(0.3, 0.6, channels), 0, 1)
    return images.astype(np.float32), kinds


def _batches(shape: tuple[int, int, int], steps: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
    for step in range(steps + 1):
        yield blobs(shape, 16, 1000 + step)


def _conv(x: Any, filters: int, kernel: int, stride: int = 1, *, active: bool = True) -> Any:
    x = layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False)(x)
    x = layers.BatchNormalization(momentum=0.8)(x)
    return layers.ReLU()(x) if active else x


def _resnet8(image: Any) -> Any:
    """MLPerf Tiny's image classifier (Banbury et al. 2021)."""
    x = _conv(image, 16, 3)
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        y = _conv(_conv(x, filters, 3, stride), filters, 3, active=False)
        shortcut = x if stride == 1 else layers.Conv2D(filters, 1, stride, padding="same")(x)
        x = layers.ReLU()(layers.Add()([y, shortcut]))
    return layers.Dense(_CLASSES)(layers.GlobalAveragePooling2D()(x))


def _dscnn(image: Any) -> Any:
    """MLPerf Tiny's keyword spotter: depthwise separable convolutions over a spectrogram."""
    x = _conv(image, 64, 3, 2)
    for _ in range(4):
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization(momentum=0.8)(x))
        x = _conv(x, 64, 1)
    return layers.Dense(_CLASSES)(layers.GlobalAveragePooling2D()(x))


def _vit(image: Any) -> Any:
    """A vision transformer (Dosovitskiy et al. 2021) of three blocks over 64 patches of 48 channels."""
    x = layers.Reshape((64, 48))(layers.Conv2D(48, 4, 4)(image))
    for _ in range(3):
        y = layers.LayerNormalization()(x)
        x = layers.Add()([x, layers.MultiHeadAttention(3, 16)(y, y)])
        y = layers.Dense(96, activation="relu")(layers.LayerNormalization()(x))
        x = layers.Add()([x, layers.Dense(48)(y)])
    return layers.Dense(_CLASSES)(layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x)))


def _keras(name: str, **options: Any) -> Callable[[Any], Any]:
    def build(image: Any) -> Any:
        network = getattr(keras.applications, name)(
            weights=None, input_tensor=image, include_top=False, pooling="avg", **options
        )
        return layers.Dense(_CLASSES)(network.output)

    return build


MADE = (
    Made("resnet8", (32, 32, 3), _resnet8, 60),
    Made("ds-cnn", (48, 40, 1), _dscnn, 60),
    Made("vit-tiny", (32, 32, 3), _vit, 80),
    Made("mobilenet-v1-0.25", (96, 96, 3), _keras("MobileNet", alpha=0.25), 60),
    Made("mobilenet-v2-0.5", (128, 128, 3), _keras("MobileNetV2", alpha=0.5), 40),
    Made("mobilenet-v2-0.35-untrained", (96, 96, 3), _keras("MobileNetV2", alpha=0.35), 0),
    Made("mobilenet-v3-small", (96, 96, 3), _keras("MobileNetV3Small", minimalistic=False), 60),
    Made("mobilenet-v3-small-untrained", (96, 96, 3), _keras("MobileNetV3Small", minimalistic=False), 0),
    Made("efficientnet-b0", (64, 64, 3), _keras("EfficientNetB0"), 40),
)
"""What the benchmark makes."""
