"""A set of small thermal frames with classes of its own, for tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.captures import Capture, CaptureSet, Conditions, TruthObject

CLASSES = ("airplane", "bird", "drone")
HEIGHT, WIDTH = 32, 48


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
