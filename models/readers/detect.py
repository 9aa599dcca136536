"""Which reader fits what is at a path."""

from __future__ import annotations

from pathlib import Path

from models.captures import CaptureSet
from models.errors import DataError
from models.readers.assemble import Options
from models.readers.coco import read_coco
from models.readers.report import ReadReport

__all__ = ["read_dataset"]


def read_dataset(path: Path, *, options: Options | None = None) -> tuple[CaptureSet, ReadReport]:
    """Read the dataset at ``path``, an annotation file or a folder, in whichever layout it has.

    Raises:
        DataError: there is nothing, no layout fits, or no frame is usable.
    """
    if not path.exists():
        raise DataError(f"{path} is not there; give an annotation file or a dataset's folder")
    if path.suffix.lower() == ".json":
        return read_coco(path, options=options)
    raise DataError(f"{path}: no reader knows this layout; give a COCO JSON")
