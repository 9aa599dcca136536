"""Small graphs, made here, and a set of frames with classes of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

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

    def run(image: Any) -> dict[str, Any]:
        mean = tf.nn.avg_pool2d(image, 16, 16, "VALID")
        near = tf.reduce_max(mean, axis=3, keepdims=True)
        ones = tf.ones_like(near)
        boxes = [0.5 * ones] * 4
        scores = [-9 * ones, 40 * near - 30, -9 * ones]
        return {"p4": tf.concat([*boxes, *scores], axis=3)}

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
