"""Pascal VOC XML and its variants in other datasets: x/y/w/h boxes, polygons, rotated boxes.

Documents with a document type declaration are refused: no dataset needs one, and entities are an attack vector.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from models.captures import CaptureSet
from models.errors import DataError
from models.readers.assemble import Options, RawBox, RawFrame, RawLabels, assemble
from models.readers.bands import Band
from models.readers.files import find_folder, images_below, pair_labels, relative
from models.readers.names import frame_ids
from models.readers.report import ProblemKind, ReadReport, ReportBuilder
from models.readers.segmentation import around_points, around_rotated
from models.readers.single import bands_of
from models.readers.text import alike, decode_text, flag, number, posix

__all__ = ["VocDocument", "parse_voc", "read_voc", "report_orphans", "voc_files", "voc_labels"]

_SPLITS = ("train", "val", "test")
_OCCLUSION = {"0": 0.0, "1": 0.3, "2": 0.7}
_MAX_BYTES = 16_000_000
_PLACES = ("bndbox", "polygon", "robndbox", "segmentation")
_COORDINATE = re.compile(r"^([xy])\d*$")
_DECLARATION = re.compile(r"^\s*<\?xml[^>]*\?>")


@dataclass(frozen=True, slots=True)
class VocDocument:
    """One annotation file.

    Attributes:
        boxes: the boxes.
        broken: names of objects without a valid box.
        size: width and height of the annotated image, if given.
        file: name of that image, if given.
    """

    boxes: tuple[RawBox, ...]
    broken: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    file: str = ""


def parse_voc(data: bytes) -> VocDocument:
    """Parse one VOC document.

    A box may be a ``bndbox`` with xmin/ymin/xmax/ymax or x/y/w/h, a ``polygon`` with x1/y1 ... x4/y4, or the bounding
    rectangle of any of them. KAIST's occlusion levels 1 and 2 become fractions of 0.3 and 0.7.

    Raises:
        ValueError: it is not a VOC document.
    """
    if len(data) > _MAX_BYTES:
        raise ValueError(f"an annotation may have at most {_MAX_BYTES} bytes")
    text = decode_text(data)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("a document type declaration is not allowed")
    try:
        # The text is already decoded: the parser does not support GB2312.
        root = ET.fromstring(_DECLARATION.sub("", text).strip())  # noqa: S314 - no entities, as checked above
    except (ET.ParseError, ValueError) as error:
        raise ValueError(str(error)) from error
    boxes, broken = [], []
    for item in root.iter("object"):
        name = item.findtext("name", "").strip()
        try:
            boxes.append(_parse_object(item, name))
        except ValueError:
            broken.append(name or "object without a name")
    return VocDocument(tuple(boxes), tuple(broken), _size(root), posix(root.findtext("filename", "")))


def voc_labels(path: Path, report: ReportBuilder) -> RawLabels | None:
    """Return the annotations in a VOC file; None, with a finding, if it cannot be parsed."""
    try:
        document = parse_voc(path.read_bytes())
    except (OSError, ValueError):
        report.add(ProblemKind.BROKEN_ANNOTATION, path.name)
        return None
    for name in document.broken:
        report.add(ProblemKind.BROKEN_ANNOTATION, f"{path.name}: {name} without a box")
    if document.broken and not document.boxes:
        return None
    return RawLabels(document.boxes, document.size, source=path)


def voc_files(root: Path) -> list[Path]:
    """Return the XML files in ``root`` and its subfolders, sorted by path."""
    return [path for path in sorted(root.rglob("*")) if path.suffix.lower() == ".xml" and path.is_file()]


def report_orphans(files: tuple[Path, ...], report: ReportBuilder) -> None:
    """Report annotation files without an image, and their boxes."""
    for path in files:
        report.add(ProblemKind.ORPHAN_ANNOTATION, path.name)
        try:
            boxes = len(parse_voc(path.read_bytes()).boxes)
        except (OSError, ValueError):
            continue
        for _ in range(boxes):
            report.add(ProblemKind.ORPHAN_BOX, path.name)


def read_voc(folder: Path, options: Options | None = None) -> tuple[CaptureSet, ReadReport]:
    """Read images with one XML file each: in ``JPEGImages/`` and ``Annotations/``, or in one folder (labelImg).

    Every image is its own scene. Where ``ImageSets/Main`` lists it for a split, that is its condition ``split``.

    Raises:
        DataError: no frame is usable.
    """
    report = ReportBuilder("Pascal VOC")
    images, files = images_below(folder, report), voc_files(folder)
    if not images:
        raise DataError(f"{folder}: there are VOC annotations, but no matching image")
    pairs = pair_labels(folder, images, files)
    by_image = {**pairs.by_image, **_by_file_name(images, pairs.by_image, pairs.orphans)}
    used = set(by_image.values())
    report_orphans(tuple(path for path in pairs.orphans if path not in used), report)
    names = frame_ids([relative(image, folder) for image in images])
    splits = _image_sets(folder, {image.stem for image in images}, report)
    frames = []
    for name, image, band in zip(names, images, bands_of(images, folder, options, report), strict=True):
        if image not in by_image:
            report.add(ProblemKind.NO_ANNOTATION, image.name)
        labels = voc_labels(by_image[image], report) if image in by_image else None
        eo, lwir = (image, None) if band is Band.EO else (None, image)
        conditions = (("split", splits[image.stem]),) if image.stem in splits else ()
        frames.append(RawFrame(name, name, eo, lwir, labels, conditions))
    return assemble(folder.name, frames, report, options)


def _image_sets(folder: Path, stems: Collection[str], report: ReportBuilder) -> dict[str, str]:
    """Return the split of each image that ``ImageSets/Main`` lists for one; a name that several list has none.

    ``trainval`` is train and val together, and says nothing more; ``person_train.txt`` and its like are of one class.
    """
    lists = find_folder(folder, "ImageSets")
    if lists is None:
        return {}
    place = find_folder(lists, "Main") or lists
    found: dict[str, str] = {}
    several: set[str] = set()
    for split in _SPLITS:
        try:
            lines = decode_text((place / f"{split}.txt").read_bytes()).splitlines()
        except FileNotFoundError:
            continue
        except (OSError, ValueError):
            report.add(ProblemKind.BROKEN_ANNOTATION, f"ImageSets/{split}.txt")
            continue
        for stem in filter(None, map(str.strip, lines)):
            if stem not in stems:
                report.add(ProblemKind.MISSING_IMAGE, stem)
            elif found.setdefault(stem, split) != split:
                several.add(stem)
    for stem in sorted(several):
        report.add(ProblemKind.AMBIGUOUS, f"{stem}: in several splits of ImageSets")
        del found[stem]
    return found


def _by_file_name(images: list[Path], known: object, orphans: tuple[Path, ...]) -> dict[Path, Path]:
    """Pair files with the image they name, if the name is unique and the image has no file yet."""
    named: dict[str, list[Path]] = {}
    for image in images:
        named.setdefault(alike(image.name), []).append(image)
    found: dict[Path, Path] = {}
    for path in orphans:
        try:
            file = parse_voc(path.read_bytes()).file
        except (OSError, ValueError):
            continue
        candidates = named.get(alike(file.rpartition("/")[2]), [])
        if len(candidates) == 1 and candidates[0] not in known and candidates[0] not in found:  # type: ignore[operator]
            found[candidates[0]] = path
    return found


def _size(root: ET.Element) -> tuple[int, int] | None:
    try:
        size = int(number(root.findtext("size/width", "0"))), int(number(root.findtext("size/height", "0")))
    except ValueError:
        return None
    return size if min(size) > 0 else None


def _parse_object(item: ET.Element, name: str) -> RawBox:
    box, why = None, "an object without a name or box"
    for element in (item.find(tag) for tag in _PLACES):
        try:
            box = None if element is None or not name else _rectangle(element)
        except ValueError as error:
            why = str(error)
        if box is not None:
            break
    if box is None:
        raise ValueError(why)
    occlusion = _OCCLUSION.get(item.findtext("occlusion", "0").strip(), 0.0)
    ignore = flag(item.findtext("ignore", "0")) or flag(item.findtext("difficult", "0"))
    return RawBox(name, box, ignore, occlusion)


def _rectangle(element: ET.Element) -> tuple[float, float, float, float]:
    values = {leaf.tag.lower(): number(leaf.text or "") for leaf in element if not len(leaf)}
    if {"xmin", "ymin", "xmax", "ymax"} <= values.keys():
        return values["xmin"], values["ymin"], values["xmax"], values["ymax"]
    if {"x", "y", "w", "h"} <= values.keys():
        return values["x"], values["y"], values["x"] + values["w"], values["y"] + values["h"]
    if {"cx", "cy", "w", "h", "angle"} <= values.keys():
        return around_rotated(values["cx"], values["cy"], values["w"], values["h"], values["angle"])
    points = [(match[1], number(leaf.text or "")) for leaf in element.iter()
              if (match := _COORDINATE.match(leaf.tag.lower()))]  # fmt: skip
    x, y = [v for axis, v in points if axis == "x"], [v for axis, v in points if axis == "y"]
    if len(x) != len(y):
        raise ValueError("a polygon needs as many x as y")
    return around_points([v for pair in zip(x, y, strict=True) for v in pair])
