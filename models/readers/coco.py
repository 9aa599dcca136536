"""Parsing COCO JSON and its dialects, image by image. Does not look for image files.

HIT-UAV (Suo et al., Scientific Data 10, 227, 2023) names its list ``annotation`` and an image's file
``filename``, and counts categories from 0. Datumaro's native JSON (``items``) is converted to COCO's form first.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from models.errors import DataError
from models.readers.assemble import RawBox, RawLabels
from models.readers.names import facts_of_name
from models.readers.report import ProblemKind, ReportBuilder
from models.readers.segmentation import around_points, around_rotated, around_segmentation
from models.readers.text import flag, number, posix, read_text

__all__ = ["CocoImage", "is_coco", "load_json", "parse_coco"]

_IGNORED = ("iscrowd", "is_crowd", "ignore", "ignored", "isignore", "difficult")
_LISTS = ("annotations", "annotation")


@dataclass(frozen=True, slots=True)
class CocoImage:
    """An image in the JSON.

    Attributes:
        file: its path relative to its folder, with slashes.
        labels: its annotations; None if there are none or they cannot be parsed.
        size: annotated width and height, if any.
        scene: its sequence, if given.
        conditions: pairs of axis and category.
    """

    file: str
    labels: RawLabels | None
    size: tuple[int, int] | None = None
    scene: str | None = None
    conditions: tuple[tuple[str, str], ...] = ()


def load_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        DataError: it is missing, not JSON, or not an object.
    """
    try:
        data = json.loads(read_text(path))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(data, dict):
        raise DataError(f"{path}: holds a JSON {type(data).__name__}, not an object; a COCO file has 'images'")
    return data


def is_coco(data: Mapping[str, Any]) -> bool:
    """Whether a JSON object lists images and annotations."""
    if isinstance(data.get("items"), list) and "categories" in data:
        return True
    return isinstance(data.get("images"), list) and any(isinstance(data.get(name), list) for name in _LISTS)


def parse_coco(data: Mapping[str, Any], path: Path, report: ReportBuilder) -> list[CocoImage]:
    """Return the images with their boxes, one entry per file.

    Raises:
        DataError: there is no list of images, or no list of annotations.
    """
    if isinstance(data.get("items"), list) and isinstance(data.get("categories"), dict):
        data = _from_datumaro(data)
    images = data.get("images")
    annotations = next((data[name] for name in _LISTS if isinstance(data.get(name), list)), None)
    if not isinstance(images, list) or (annotations is None and not images):
        raise DataError(f"{path}: has no lists 'images' and 'annotations'; it is not a COCO file")
    entries = [entry for item in images if (entry := _entry(item, report)) is not None]
    keys = _Keys.of(entries, report)
    if annotations is None:
        report.note(f"{path.name} has no list 'annotations': its frames are not labelled")
        found: dict[str, RawLabels | None] = dict.fromkeys(keys.labelled)
    else:
        found = _labels(annotations, _category_names(data.get("categories"), report), keys, report)
    return _merged((replace(image, labels=found.get(key)) for key, image in entries), report)


@dataclass(frozen=True)
class _Keys:
    """Image ids as text.

    Attributes:
        all: every id.
        labelled: the unambiguous ids.
        by_number: numeric ids by their number: "007" equals 7.
    """

    all: frozenset[str]
    labelled: frozenset[str]
    by_number: Mapping[int, str]

    @classmethod
    def of(cls, entries: Sequence[tuple[str, CocoImage]], report: ReportBuilder) -> _Keys:
        """Index the ids; an id of several files is reported, and its boxes cannot be assigned."""
        files: dict[str, set[str]] = defaultdict(set)
        for key, image in entries:
            files[key].add(image.file)
        for key, image in entries:
            if len(files[key]) > 1:
                report.add(ProblemKind.AMBIGUOUS, f"{image.file} (image {key})")
        numbered = [(number_, key) for key in files if (number_ := _as_number(key)) is not None]
        numbers = Counter(number_ for number_, _ in numbered)
        by_number = {number_: key for number_, key in numbered if numbers[number_] == 1}
        return cls(frozenset(files), frozenset(k for k, named in files.items() if len(named) == 1), by_number)

    def find(self, value: object) -> str | None:
        """Return the image id that an annotation's ``image_id`` refers to."""
        key = _key(value)
        if key in self.all:
            return key
        number_ = None if key is None else _as_number(key)
        return None if number_ is None else self.by_number.get(number_)


def _as_number(key: str) -> int | None:
    # 18 digits: Python refuses to convert very long numbers.
    return int(key) if key.isdecimal() and len(key) <= 18 else None


def _key(value: object) -> str | None:
    """Return an id as text: 17, "17" and 17.0 are equal; None if it is not an id."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, float):
        return str(int(value)) if math.isfinite(value) and value == int(value) else None
    return str(value).strip()


def _labels(
    annotations: Sequence[Any], names: Mapping[str, str], keys: _Keys, report: ReportBuilder
) -> dict[str, RawLabels | None]:
    boxes: dict[str, list[RawBox]] = defaultdict(list)
    broken: set[str] = set()
    seen: set[tuple[object, ...]] = set()
    degrees = _angles_in_degrees(annotations)
    for item in annotations:
        key = keys.find(item.get("image_id")) if isinstance(item, dict) else None
        try:
            box = _box(item, names, degrees)
        except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
            report.add(ProblemKind.BROKEN_ANNOTATION, f"{item}"[:80])
            broken |= set() if key is None else {key}
            continue
        if key is None:
            report.add(ProblemKind.ORPHAN_BOX, f"box {item.get('id')} of image {item['image_id']}")
            continue
        # Some files restart ids with each image: a duplicate must have the same box as well.
        same = (key, _key(item.get("id")), box.name, box.box)
        if same[1] is not None and same in seen:
            report.add(ProblemKind.DUPLICATE_ID, f"box {item.get('id')}")
            continue
        seen.add(same)
        boxes[key].append(box)
    # A frame with only broken annotations is not empty.
    known = keys.labelled - {key for key in broken if key not in boxes}
    return {key: RawLabels(tuple(boxes.get(key, ()))) for key in known}


def _box(item: Mapping[str, Any], names: Mapping[str, str], degrees: bool) -> RawBox:
    category = _key(item["category_id"])
    if _key(item["image_id"]) is None or category is None:
        raise ValueError("an annotation needs the ids of its image and of its category")
    attributes = item.get("attributes")
    places = [item, *([attributes] if isinstance(attributes, dict) else [])]
    ignore = any(flag(place.get(name)) for place in places for name in _IGNORED)
    name = names.get(category)
    return RawBox(name or f"category {category}", _rectangle(item, degrees), ignore or name is None)


def _rectangle(item: Mapping[str, Any], degrees: bool) -> tuple[float, float, float, float]:
    """Return x0, y0, x1, y1 of the box, or around the segmentation if there is no box."""
    given = item.get("bbox")
    values = [number(v) for v in given] if given else []
    if len(values) == 4 and (min(values[2:]) > 0 or not item.get("segmentation")):
        return values[0], values[1], values[0] + values[2], values[1] + values[3]
    if len(values) == 5:
        angle = math.radians(values[4]) if degrees else values[4]
        return around_rotated(values[0], values[1], values[2], values[3], angle)
    if len(values) >= 6:
        return around_points(values)
    return around_segmentation(item.get("segmentation"))


def _angles_in_degrees(annotations: Sequence[Any]) -> bool:
    """Whether rotated boxes (centre, size, angle) are in degrees: some angle exceeds a full turn in radians."""
    boxes = (item.get("bbox") for item in annotations if isinstance(item, dict))
    angles = (box[4] for box in boxes if isinstance(box, list) and len(box) == 5)
    return any(isinstance(angle, int | float) and abs(angle) > 2 * math.pi for angle in angles)


def _merged(images: Iterable[CocoImage], report: ReportBuilder) -> list[CocoImage]:
    """Return one image per file, with the boxes of all its entries."""
    found: dict[str, CocoImage] = {}
    for image in images:
        first = found.get(image.file)
        if first is None:
            found[image.file] = image
            continue
        report.note("some images are listed more than once: their boxes were merged")
        boxes = [labels.boxes for labels in (first.labels, image.labels) if labels is not None]
        labels = RawLabels(tuple(dict.fromkeys(box for part in boxes for box in part))) if boxes else None
        found[image.file] = replace(first, labels=labels)
    return [image if image.labels is None else replace(image, labels=replace(image.labels, size=image.size))
            for image in found.values()]  # fmt: skip


def _category_names(categories: object, report: ReportBuilder) -> dict[str, str]:
    """Return the category names by id; ids with several names are omitted."""
    found: dict[str, set[str]] = defaultdict(set)
    for category in categories if isinstance(categories, list) else ():
        key = _key(category.get("id")) if isinstance(category, dict) and "name" in category else None
        if key is not None:
            found[key].add(str(category["name"]))
    for key, names in found.items():
        if len(names) > 1:
            report.note(f"the category id {key} has several names ({', '.join(sorted(names))}): its boxes are ignored")
    return {key: next(iter(names)) for key, names in found.items() if len(names) == 1}


def _entry(item: Any, report: ReportBuilder) -> tuple[str, CocoImage] | None:
    """Parse an image's entry; None, with a finding, if its id or file is missing."""
    key = _key(item.get("id")) if isinstance(item, dict) else None
    name = item.get("file_name", item.get("filename")) if key is not None else None
    if key is None or not isinstance(name, str) or not _is_name(name):
        report.add(ProblemKind.BROKEN_ANNOTATION, f"{item}"[:80])
        return None
    file = posix(name)
    if PurePosixPath(file).is_absolute() or PureWindowsPath(file).drive:
        report.add(ProblemKind.ABSOLUTE_PATH, name)
        return None
    if ".." in PurePosixPath(file).parts:
        report.add(ProblemKind.OUTSIDE_PATH, name)
        return None
    extra = item.get("extra_info")
    extra = extra if isinstance(extra, dict) else {}
    scene, conditions = facts_of_name(PurePosixPath(file).stem)
    video = extra.get("video_id") or item.get("video_id")
    scene = str(video) if isinstance(video, int | str) and video else scene
    return key, CocoImage(file, None, _size(item), scene, conditions + _extra_conditions(extra))


def _is_name(name: str) -> bool:
    """Whether a file system accepts the name."""
    parts = posix(name).split("/")
    return 0 < len(name) < 1000 and "\0" not in name and all(len(p.encode(errors="replace")) < 255 for p in parts)


def _size(item: Mapping[str, Any]) -> tuple[int, int] | None:
    try:
        size = int(number(item.get("width"))), int(number(item.get("height")))
    except ValueError:
        return None
    return size if min(size) > 0 else None


def _extra_conditions(extra: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Conditions of FLIR ADAS v2: hours, scene, weather."""
    names = (("hours", "thermal"), ("scene", "background"), ("weather", "atmosphere"))
    return tuple((axis, str(extra[key])) for key, axis in names if extra.get(key))


def _from_datumaro(data: Mapping[str, Any]) -> dict[str, Any]:
    """Convert Datumaro's native form (``items`` with nested annotations) to COCO's."""
    labels = data["categories"].get("label")
    listed = labels.get("labels") if isinstance(labels, dict) else None
    names = [c.get("name") if isinstance(c, dict) else None for c in listed] if isinstance(listed, list) else []
    images, annotations = [], []
    for number_, item in enumerate(i for i in data["items"] if isinstance(i, dict)):
        media: dict[str, Any] = next((item[key] for key in ("image", "media") if isinstance(item.get(key), dict)), {})
        size = media.get("size")
        height, width = size if isinstance(size, list) and len(size) == 2 else (None, None)
        file = media.get("path") or f"{item.get('id')}.jpg"
        images.append({"id": number_, "file_name": file, "width": width, "height": height})
        found = item.get("annotations")
        for a in found if isinstance(found, list) else []:
            if isinstance(a, dict) and a.get("type") in {"bbox", "polygon", "mask"}:
                shape = a.get("rle") or ([a["points"]] if a.get("points") else None)
                annotations.append({**a, "image_id": number_, "category_id": a.get("label_id"), "segmentation": shape})
    categories = [{"id": index, "name": name} for index, name in enumerate(names) if name is not None]
    return {"images": images, "annotations": annotations, "categories": categories}
