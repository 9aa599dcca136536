"""Detecting the layout of the dataset at a path."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from models.captures import CaptureSet
from models.errors import DataError
from models.readers.assemble import Options
from models.readers.coco_layout import coco_files, read_coco
from models.readers.described import read_described
from models.readers.description import is_description
from models.readers.files import find_folder, images_below
from models.readers.flir import read_flir
from models.readers.kaist import read_kaist
from models.readers.paired import SPLITS, drone_vehicle_root, read_drone_vehicle, read_llvip, read_m3fd
from models.readers.report import FrameCounts, ReadReport
from models.readers.voc import read_voc, voc_files
from models.readers.yolo import read_yolo, yolo_files

__all__ = ["read_dataset"]

_Reader = Callable[[Path, Options | None], tuple[CaptureSet, ReadReport]]
_LAYOUTS = "FLIR ADAS v2, LLVIP, KAIST, M3FD, DroneVehicle, VOC, YOLO, COCO JSON"


def read_dataset(path: Path, *, options: Options | None = None, purpose: str = "") -> tuple[CaptureSet, ReadReport]:
    """Read the dataset at ``path`` in place, detecting its layout.

    Args:
        path: an annotation file (COCO JSON, YOLO's data.yaml), a description (TOML), a dataset's folder, or the
            folder of a stored capture set.
        options: class map, band, scaling and checks; the defaults if None.
        purpose: why; logged for a sealed stored set.

    Raises:
        DataError: there is no file, no layout matches, or no frame is usable.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist; give an annotation file or a dataset's folder")
    try:
        if not path.is_dir():
            return _read_file(path, options)
        if (path / "captures.json").is_file():
            return _read_stored(path, purpose)
        return _read_folder(path, options)
    except OSError as error:
        raise DataError(f"{error.filename or path}: cannot be read ({error.strerror or error})") from error


def _read_file(path: Path, options: Options | None) -> tuple[CaptureSet, ReadReport]:
    kind = path.suffix.lower()
    if kind == ".json":
        return read_coco([path], options)
    if kind == ".toml":
        return read_described(path, options)
    if kind in {".yaml", ".yml"}:
        return read_yolo(path, options)
    hint = "unpack it first" if kind in {".zip", ".tar", ".gz", ".tgz", ".7z", ".rar"} else (
        "give a COCO JSON, a description (TOML), YOLO's data.yaml, or a dataset's folder"
    )  # fmt: skip
    raise DataError(f"{path}: no reader for this file; {hint}")


def _read_stored(path: Path, purpose: str) -> tuple[CaptureSet, ReadReport]:
    captures = CaptureSet.load(path, purpose)
    states = [(capture.labelled, bool(capture.objects)) for capture in captures.captures]
    counts = FrameCounts(states.count((True, True)), states.count((True, False)), states.count((False, False)))
    boxes = sum(len(capture.objects) for capture in captures.captures)
    return captures, ReadReport("stored captures", len(captures), boxes, counts=counts)


def _read_folder(path: Path, options: Options | None) -> tuple[CaptureSet, ReadReport]:
    reader = _reader_of(path)
    if reader is not None:
        return reader(path, options)
    # An archive often has an extra level of folders: VOCdevkit/VOC2007, dataset/dataset.
    inner = [p for p in sorted(path.iterdir()) if p.is_dir() and not p.name.startswith(".")]
    fitting = [(p, reader) for p in inner[:50] if (reader := _reader_of(p)) is not None]
    if len(fitting) == 1:
        return fitting[0][1](fitting[0][0], options)
    if fitting:
        raise DataError(f"{path}: contains several datasets; give one of {', '.join(str(p) for p, _ in fitting[:5])}")
    advice = ""
    if next(iter(images_below(path)), None) is not None:
        advice = "; it contains images: describe where their annotations are in a TOML file (docs/captures.md)"
    raise DataError(f"{path}: no known layout ({_LAYOUTS}){advice}")


def _reader_of(path: Path) -> _Reader | None:
    return next((reader for fits, reader in _READERS if fits(path)), None)


def _descriptions(path: Path) -> list[Path]:
    return [file for file in sorted(path.glob("*.toml")) if is_description(file)]


def _has(*names: str) -> Callable[[Path], bool]:
    return lambda path: all(find_folder(path, name) is not None for name in names)


def _is_kaist(path: Path) -> bool:
    return any(path.glob("images/set*/V*/lwir")) or any(path.glob("set*/V*/lwir"))


def _is_m3fd(path: Path) -> bool:
    return find_folder(path, "ir") is not None and find_folder(path, "vis", "vi") is not None


def _is_drone_vehicle(path: Path) -> bool:
    return any(drone_vehicle_root(path, split) is not None for split in SPLITS)


def _is_voc(path: Path) -> bool:
    """Whether there are images and XML files, directly in this folder or in two of its subfolders."""
    if find_folder(path, "JPEGImages") is not None:
        return True
    own = list(path.glob("*.xml")) or [p for p in voc_files(path) if len(p.relative_to(path).parts) <= 3]
    nested = any(find_folder(p, "JPEGImages") is not None for p in path.iterdir() if p.is_dir())
    return bool(own) and not nested and bool(images_below(path))


def _is_yolo(path: Path) -> bool:
    if any((path / name).is_file() for name in ("data.yaml", "data.yml", "dataset.yaml")) or _has("images", "labels")(
        path
    ):
        return True
    return bool(yolo_files(path, images_below(path)))


_READERS: tuple[tuple[Callable[[Path], bool], _Reader], ...] = (
    (lambda path: len(_descriptions(path)) == 1, lambda path, options: read_described(_descriptions(path)[0], options)),
    (_has("video_thermal_test"), read_flir),
    (_has("visible", "infrared"), read_llvip),
    (_is_kaist, read_kaist),
    (_is_drone_vehicle, read_drone_vehicle),
    (_is_m3fd, read_m3fd),
    (_has("JPEGImages"), read_voc),
    (lambda path: bool(coco_files(path)), lambda path, options: read_coco(coco_files(path), options, name=path.name)),
    (_is_voc, read_voc),
    (_is_yolo, read_yolo),
)
