"""Small graphs, made here, and a set of frames with classes of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.captures import Capture, CaptureSet, Conditions, TruthObject

CLASSES = ("airplane", "bird", "drone")
HEIGHT, WIDTH = 32, 48


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


def thermal_set(frames: int = 30, *, name: str = "sky") -> CaptureSet:
    """Frames with one bright bird, in every third a dark drone too; a scene every two frames."""
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 2000, (frames, HEIGHT, WIDTH)).astype(np.uint16)
    captures = []
    for index in range(frames):
        column = index % 3
        counts[index, :16, 16 * column : 16 * column + 16] = 60000
        objects = [TruthObject(1, (16.0 * column, 0.0, 16.0 * column + 16, 16.0))]
        if index % 3 == 0:
            objects.append(TruthObject(2, (20.0, 20.0, 30.0, 30.0)))
        conditions = Conditions((("distance", "near" if index % 2 else "far"),))
        captures.append(Capture(f"f{index}", f"s{index // 2}", WIDTH, HEIGHT, conditions, tuple(objects)))

    class Frames:
        def eo(self, index: int) -> None:  # noqa: ARG002
            return None

        def lwir(self, index: int) -> Any:
            return counts[index]

    return CaptureSet(name, tuple(captures), Frames(), CLASSES)


@pytest.fixture(scope="session")
def sky(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set, stored."""
    folder = tmp_path_factory.mktemp("captures") / "sky"
    thermal_set().save(folder)
    return folder
