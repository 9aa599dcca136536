"""Small graphs, made here, and a set of frames with classes of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.card.sky_captures import HEIGHT, WIDTH, thermal_set


def convert(run: Callable[[Any], dict[str, Any]], shape: tuple[int, ...]) -> bytes:
    """Return a function of one input ``image`` as a float .tflite with a signature."""
    import tensorflow as tf

    module = tf.Module()
    module.run = tf.function(run, input_signature=[tf.TensorSpec(shape, tf.float32, name="image")])
    concrete = module.run.get_concrete_function()
    return bytes(tf.lite.TFLiteConverter.from_concrete_functions([concrete], module).convert())


@pytest.fixture(scope="session")
def bright_yolo() -> bytes:
    """A YOLO of stride 16 that sees a bird in each bright cell: nothing is trained, its weights are written down."""
    import tensorflow as tf

    weights = np.zeros((1, 1, 3, 7), np.float32)
    weights[..., 5] = 40 / 3  # of a bird, by the mean of the three channels
    bias = np.array([0.5, 0.5, 0.5, 0.5, -9, -30, -9], np.float32)

    def run(image: Any) -> dict[str, Any]:
        mean = tf.nn.avg_pool2d(image, 16, 16, "VALID")
        return {"p4": tf.nn.bias_add(tf.nn.conv2d(mean, weights, 1, "VALID"), bias)}

    return convert(run, (1, HEIGHT, WIDTH, 3))


@pytest.fixture(scope="session")
def bright_yolo_file(bright_yolo: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "yolo.tflite"
    path.write_bytes(bright_yolo)
    return path


@pytest.fixture(scope="session")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set, stored."""
    folder = tmp_path_factory.mktemp("captures") / "sky"
    thermal_set().save(folder)
    return folder
