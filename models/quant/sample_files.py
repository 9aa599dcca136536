"""Samples for graphs that captures do not feed, as ``.npz`` files: one array for each input, under its name.

``FOLDER/*.npz`` are samples without conditions; in ``FOLDER/night/*.npz`` each belongs to the condition ``night``.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.errors import DataError
from models.quant.feeds import Sample

__all__ = ["holds_samples", "read_samples", "write_samples"]

_PATTERN = "**/*.npz"


def holds_samples(folder: Path) -> bool:
    """Tell whether a folder holds samples of this kind."""
    return folder.is_dir() and next(folder.glob(_PATTERN), None) is not None


def read_samples(folder: Path) -> Sequence[Sample]:
    """Read all samples of a folder, in the order of their paths.

    Raises:
        DataError: a file cannot be read, or holds what is not numeric; names it.
    """
    return [_read(path, folder) for path in sorted(folder.glob(_PATTERN))]


def write_samples(folder: Path, samples: Sequence[Sample]) -> None:
    """Write samples as a new folder, the whole of it or nothing; each in the folder of its first condition.

    Raises:
        DataError: there is something at ``folder``.
    """
    if folder.exists():
        raise DataError(f"{folder} is there already; write the samples to a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as made:
        whole = Path(made) / "samples"
        for index, sample in enumerate(samples):
            place = whole / (sample.groups[0].replace("/", "-") if sample.groups else "")
            place.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(place / f"{index:05}.npz", **sample.feed)
        whole.rename(folder)


def _read(path: Path, folder: Path) -> Sample:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            feed = {name: np.asarray(arrays[name]) for name in arrays.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read: {error}; write it with numpy.savez(path, INPUT=array, ...)") from error
    for name, value in feed.items():
        if value.dtype.kind not in "fiub":
            raise DataError(f"{path}: the array {name!r} holds {value.dtype}; inputs are numbers")
    group = path.parent.relative_to(folder).as_posix()
    return Sample(feed, () if group == "." else (group,))
