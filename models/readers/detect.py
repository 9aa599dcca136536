"""Which reader fits what is at a path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from models.captures import CaptureSet
from models.errors import DataError
from models.readers.assemble import Options
from models.readers.coco import read_coco
from models.readers.described import read_described
from models.readers.flir import read_flir
from models.readers.paired import find_folder, read_drone_vehicle, read_kaist, read_llvip, read_m3fd
from models.readers.report import ReadReport
from models.readers.voc import read_voc
from models.readers.yolo import read_yolo

__all__ = ["read_dataset"]

_Reader = Callable[[Path, Options | None], tuple[CaptureSet, ReadReport]]


def read_dataset(path: Path, *, options: Options | None = None, purpose: str = "") -> tuple[CaptureSet, ReadReport]:
    """Read the dataset at ``path``, in whichever layout it has; frames stay in place.

    Args:
        path: an annotation file (COCO JSON), a description (TOML), a dataset's folder, or a stored capture set's.
        options: class map and checks; the defaults if None.
        purpose: what for; goes into the log of a sealed stored set.

    Raises:
        DataError: there is nothing, no layout fits, or no frame is usable.
    """
    if not path.exists():
        raise DataError(f"{path} is not there; give an annotation file or a dataset's folder")
    if path.is_file():
        if path.suffix.lower() == ".json":
            return read_coco(path, options=options)
        if path.suffix.lower() == ".toml":
            return read_described(path, options)
        raise DataError(
            f"{path}: no reader knows this file; give a COCO JSON, a description (TOML) or a dataset's folder"
        )
    if (path / "captures.json").is_file():
        captures = CaptureSet.load(path, purpose)
        boxes = sum(len(capture.objects) for capture in captures.captures)
        return captures, ReadReport("stored captures", len(captures), boxes)
    for fits, reader in _READERS:
        if fits(path):
            return reader(path, options)
    files = sorted(path.glob("annotations/*.json"))
    if files:
        raise DataError(f"{path}: holds several annotation files; name one of {', '.join(str(f) for f in files[:5])}")
    raise DataError(f"{path}: no known layout (FLIR ADAS v2, LLVIP, KAIST, M3FD, DroneVehicle, VOC, YOLO, COCO JSON)")


def _has(*names: str) -> Callable[[Path], bool]:
    return lambda path: all((path / name).is_dir() for name in names)


def _is_kaist(path: Path) -> bool:
    return any(path.glob("images/set*/V*/lwir")) or any(path.glob("set*/V*/lwir"))


def _is_m3fd(path: Path) -> bool:
    return find_folder(path, "ir") is not None and find_folder(path, "vis", "vi") is not None


def _is_drone_vehicle(path: Path) -> bool:
    return any(next(path.glob(f"**/{split}imgr"), None) is not None for split in ("train", "val", "test"))


def _has_json(path: Path) -> bool:
    return any((path / name).is_file() for name in ("coco.json", "annotations.json"))


def _read_json(path: Path, options: Options | None) -> tuple[CaptureSet, ReadReport]:
    name = "coco.json" if (path / "coco.json").is_file() else "annotations.json"
    return read_coco(path / name, options=options)


_READERS: tuple[tuple[Callable[[Path], bool], _Reader], ...] = (
    (_has("video_thermal_test"), read_flir),
    (_has("visible", "infrared"), read_llvip),
    (_is_kaist, read_kaist),
    (_is_drone_vehicle, read_drone_vehicle),
    (_is_m3fd, read_m3fd),
    (_has("JPEGImages"), lambda path, options: read_voc(path, options=options)),
    (_has("images", "labels"), lambda path, options: read_yolo(path, options=options)),
    (_has_json, _read_json),
)
