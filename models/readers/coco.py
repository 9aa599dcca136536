"""COCO JSON, and the dialect of HIT-UAV (Suo et al., Scientific Data 10, 227, 2023).

The dialect names its list ``annotation``, an image's file ``filename``, counts categories from 0, and puts day or
night, altitude, angle and weather into the file name: ``0_100_30_0_03306.jpg``.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.captures import CaptureSet
from models.errors import DataError
from models.readers.assemble import Options, RawBox, RawFrame, assemble
from models.readers.frames import Band, image_size
from models.readers.report import ProblemKind, ReadReport, ReportBuilder

__all__ = ["load_json", "parse_coco", "read_coco"]

_HIT_UAV = re.compile(r"^(?P<night>[01])_(?P<altitude>\d+)_(?P<angle>\d+)_(?P<weather>\d+)_(?P<frame>\d+)$")
# Neighbouring frames of a video look alike, so frames are grouped by blocks of numbers, which run through all splits.
_RUN_LENGTH = 100
_MAX_JSON_BYTES = 2_000_000_000


@dataclass(frozen=True, slots=True)
class _Entry:
    """An image of the JSON."""

    key: object
    file: str
    size: tuple[int, int] | None
    conditions: tuple[tuple[str, str], ...]
    scene: str


def read_coco(
    path: Path, images: Path | None = None, *, band: Band | None = None, options: Options | None = None
) -> tuple[CaptureSet, ReadReport]:
    """Read a COCO annotation file over one band's images, which stay in place.

    Args:
        path: the JSON.
        images: folder that file names are relative to; None looks in the usual places around the JSON.
        band: what the images are; None takes colour images for EO and grey ones for LWIR.
        options: class map, crops and checks.

    Raises:
        DataError: the JSON cannot be read, has no images, or none of them can be found.
    """
    data = load_json(path)
    dialect = "annotation" in data and "annotations" not in data
    report = ReportBuilder("HIT-UAV (a COCO dialect)" if dialect else "COCO")
    entries, boxes = parse_coco(data, path, report)
    folder = images or _find_images(path, entries)
    kind = band or _guess_band(folder, entries)
    if kind is Band.LWIR:
        report.notes.append("thermal only: there is no visible frame")
    else:
        report.notes.append("visible only: there is no thermal frame")

    def frames() -> Iterator[RawFrame]:
        for entry in entries:
            file = folder / entry.file
            eo, lwir = (file, None) if kind is Band.EO else (None, file)
            stem = Path(entry.file).stem
            yield RawFrame(stem, entry.scene, eo, lwir, tuple(boxes.get(entry.key, ())), entry.conditions, entry.size)

    return assemble(path.stem, frames(), report, options)


def load_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        DataError: it is not there, not JSON, or not an object.
    """
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            raise DataError(f"{path} is over {_MAX_JSON_BYTES} bytes; is it an annotation file?")
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(data, dict):
        raise DataError(f"{path}: holds a JSON {type(data).__name__}, not an object; a COCO file has 'images'")
    return data


def parse_coco(
    data: Mapping[str, Any], path: Path, report: ReportBuilder
) -> tuple[list[_Entry], dict[object, list[RawBox]]]:
    """Return the images, and the boxes by image id.

    Raises:
        DataError: there is no list of images, or no list of annotations.
    """
    images, annotations = data.get("images"), data.get("annotations", data.get("annotation"))
    if not isinstance(images, list) or not isinstance(annotations, list):
        raise DataError(f"{path}: has no lists 'images' and 'annotations'; it is no COCO file")
    names = _category_names(data.get("categories"))
    entries: list[_Entry] = []
    keys: set[object] = set()
    for item in images:
        entry = _entry(item)
        if entry is None:
            report.add(ProblemKind.BROKEN_ANNOTATION, str(item)[:60])
        elif entry.key in keys:
            report.add(ProblemKind.DUPLICATE_ID, f"image {entry.key}")
        else:
            keys.add(entry.key)
            entries.append(entry)
    return entries, _boxes(annotations, names, keys, report)


def _boxes(
    annotations: Sequence[Any], names: Mapping[object, str], keys: set[object], report: ReportBuilder
) -> dict[object, list[RawBox]]:
    boxes: dict[object, list[RawBox]] = {}
    seen: set[object] = set()
    for item in annotations:
        try:
            key, number, category = item["image_id"], item.get("id"), item["category_id"]
            x, y, width, height = (float(v) for v in item["bbox"])
            hash((key, number, category))
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
            report.add(ProblemKind.BROKEN_ANNOTATION, str(item)[:60])
            continue
        if number is not None and number in seen:
            report.add(ProblemKind.DUPLICATE_ID, f"box {number}")
            continue
        seen.add(number)
        if key not in keys:
            report.add(ProblemKind.ORPHAN_BOX, f"box {number} of image {key}")
            continue
        if not all(math.isfinite(v) for v in (x, y, width, height)):
            report.add(ProblemKind.BROKEN_ANNOTATION, f"box {number}")
            continue
        name = names.get(category, f"category {category}")
        boxes.setdefault(key, []).append(RawBox(name, (x, y, x + width, y + height), bool(item.get("iscrowd", 0))))
    return boxes


def _category_names(categories: object) -> dict[object, str]:
    if not isinstance(categories, list):
        return {}
    known = (c for c in categories if isinstance(c, dict) and isinstance(c.get("id"), int | str) and "name" in c)
    return {c["id"]: str(c["name"]) for c in known}


def _entry(item: Any) -> _Entry | None:
    """Parse an image's entry; None when it lacks its id or file."""
    if not isinstance(item, dict) or not isinstance(item.get("id"), int | str):
        return None
    file = item.get("file_name", item.get("filename"))
    if not isinstance(file, str) or not _is_inside(file):
        return None
    width, height = item.get("width"), item.get("height")
    size = (width, height) if isinstance(width, int) and isinstance(height, int) else None
    extra = item.get("extra_info")
    conditions = _name_conditions(Path(file).stem) + _extra_conditions(extra if isinstance(extra, dict) else {})
    video = str(extra["video_id"]) if isinstance(extra, dict) and extra.get("video_id") else None
    return _Entry(item["id"], file, size, conditions, video or _name_scene(Path(file).stem))


def _is_inside(file: str) -> bool:
    """Whether a name is a relative path that stays below its folder, and one that a file system takes."""
    path = Path(file)
    fits = 0 < len(file) < 1000 and all(len(part.encode(errors="replace")) < 255 for part in path.parts)
    return fits and "\0" not in file and not path.is_absolute() and ".." not in path.parts


def _name_scene(stem: str) -> str:
    """Return the run of frame numbers that a HIT-UAV file belongs to; another file stands for itself."""
    match = _HIT_UAV.match(stem)
    return stem if match is None else f"frames-{int(match['frame']) // _RUN_LENGTH * _RUN_LENGTH:05d}"


def _name_conditions(stem: str) -> tuple[tuple[str, str], ...]:
    match = _HIT_UAV.match(stem)
    if match is None:
        return ()
    return (
        ("thermal", "night" if match["night"] == "1" else "day"),
        ("altitude", f"{match['altitude']} m"),
        ("angle", f"{match['angle']} deg"),
    )


def _extra_conditions(extra: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Conditions as FLIR ADAS v2 gives them: hours, scene, weather."""
    names = (("hours", "thermal"), ("scene", "background"), ("weather", "atmosphere"))
    return tuple((axis, str(extra[key])) for key, axis in names if extra.get(key))


def _find_images(path: Path, entries: Sequence[_Entry]) -> Path:
    """Return the folder around the JSON that holds the most of the first images."""
    parent, above = path.parent, path.parent.parent
    usual = ("", "data", "images", path.stem)
    places = [parent / name for name in usual] + [above / name for name in usual] + [above / "images" / path.stem]
    sample = entries[:50]
    best = max(places, key=lambda place: sum((place / entry.file).is_file() for entry in sample))
    if not any((best / entry.file).is_file() for entry in sample):
        raise DataError(f"{path}: its images are in none of the usual folders around it; name their folder")
    return best


def _guess_band(folder: Path, entries: Sequence[_Entry]) -> Band:
    for entry in entries[:50]:
        found = image_size(folder / entry.file, decode=False)
        if found is not None:
            return Band.EO if found[1] in {"RGB", "RGBA", "P", "CMYK", "YCbCr"} else Band.LWIR
    return Band.LWIR
