"""Stored detections of models in captures, for the report's images and later inspection without a board.

Round-trip law: ``load_detections(p)`` gives what ``save_detections(p, found)`` got, bit for bit.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from models.errors import DataError
from models.heads import Detections

__all__ = ["DETECTIONS_FILE", "load_detections", "save_detections"]

DETECTIONS_FILE = "detections.npz"
"""The file's name in a run folder; the suite stores the models ``board`` and ``host`` in it."""

_PARTS = ("boxes", "scores", "classes", "range_m", "velocity_mps")


def save_detections(path: Path, captures: Sequence[str], found: Mapping[str, Sequence[Detections]]) -> None:
    """Write detections.

    Args:
        path: the file, ``.npz``.
        captures: the captures' ids.
        found: by model, one per capture.
    """
    arrays = {"captures": np.array(captures, dtype=np.str_)}
    for model, items in found.items():
        if len(items) != len(captures):
            raise ValueError(f"{len(items)} frames of detections of {model} for {len(captures)} captures")
        arrays[f"{model}/count"] = np.array([len(item) for item in items], np.int64)
        for part in _PARTS:
            arrays[f"{model}/{part}"] = np.concatenate([getattr(item, part) for item in items])
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, **arrays)


def load_detections(path: Path) -> tuple[tuple[str, ...], dict[str, tuple[Detections, ...]]]:
    """Read detections: the captures' ids, and by model the detections of each capture.

    Raises:
        DataError: the file is missing or damaged.
    """
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
            captures = tuple(str(name) for name in stored["captures"])
            models = [name.removesuffix("/count") for name in stored.files if name.endswith("/count")]
            found = {}
            for model in models:
                ends = np.cumsum(stored[f"{model}/count"])[:-1]
                parts = zip(*(np.split(stored[f"{model}/{part}"], ends) for part in _PARTS), strict=True)
                found[model] = tuple(Detections(*items) for items in parts)
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read as detections: {error}") from error
    return captures, found
