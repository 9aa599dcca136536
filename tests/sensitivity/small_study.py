"""A small fusion network with fresh weights on a few generated captures: quick, and every part of a real one."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from models.captures import CaptureSet
from models.curation import generate_pools
from models.quant.calibrate import CalibrationMethod, calibrate
from models.sensitivity.study import Study

OPTIONS = {
    "height": 64, "width": 80, "stem": 8, "channels": (8, 12, 16), "neck": 12,
    "attention": [[8, 2, 4], [8, 2, 2], [8, 2, 1]],
}  # fmt: skip
FRAMES = 24


@cache
def float_graph() -> bytes:
    import keras
    import numpy as np

    from models.networks import build
    from models.training.export import export_float

    keras.utils.set_random_seed(5)
    model = build("fusion-small", **OPTIONS)
    for layer in model.layers:  # fresh heads answer almost the same everywhere: make them look
        if layer.name.startswith(("cls_", "box_", "kin_")):
            layer.set_weights([np.asarray(layer.get_weights()[0]) * 20, layer.get_weights()[1]])
    return export_float(model)


@cache
def pools() -> dict[str, CaptureSet]:
    sizes = {
        "train": 0,
        "calibration": 8,
        "validation": FRAMES,
        "conditions": 0,
        "ood": 0,
        "hard-dev": 8,
        "hard-holdout": 0,
    }
    return generate_pools(3, sizes, workers=1)


@cache
def study() -> Study:
    ranges = calibrate(float_graph(), pools()["calibration"], CalibrationMethod.MINMAX)
    return Study.of(float_graph(), ranges, {name: pools()[name] for name in ("validation", "hard-dev")})


def stored(folder: Path) -> tuple[Path, Path]:
    """Write graph and pools; returns (graph, folder of pools)."""
    graph, captures = folder / "float.tflite", folder / "captures"
    graph.write_bytes(float_graph())
    for name, held in pools().items():
        held.save(captures / name)
    return graph, captures
