"""Pascal VOC XML, and the relatives of it that other datasets use: x/y/w/h boxes, polygons, rotated boxes.

Documents with a document type are refused: no dataset needs one, and entities are how XML attacks its readers.
"""

from __future__ import annotations

import math
from pathlib import Path
from xml.etree import ElementTree as ET

from models.captures import CaptureSet
from models.errors import DataError
from models.readers.assemble import Options, RawBox, RawFrame, assemble
from models.readers.frames import Band, image_size
from models.readers.pairing import IMAGE_SUFFIXES, image_files
from models.readers.report import ProblemKind, ReadReport, ReportBuilder

__all__ = ["parse_voc", "read_voc", "voc_boxes"]

_OCCLUSION = {"0": 0.0, "1": 0.3, "2": 0.7}
_MAX_BYTES = 16_000_000


def parse_voc(data: bytes) -> tuple[RawBox, ...]:
    """Return the boxes of one VOC document.

    A box may be a ``bndbox`` with xmin/ymin/xmax/ymax or x/y/w/h, a ``polygon`` with x1/y1 ... x4/y4, or the bounding
    rectangle of any of them. KAIST's occlusion levels 1 and 2 become shares of 0.3 and 0.7.

    Raises:
        ValueError: it is no such document.
    """
    if len(data) > _MAX_BYTES or b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise ValueError("an annotation is a small document without a document type")
    try:
        root = ET.fromstring(data)  # noqa: S314 - documents with entities were refused above
    except ET.ParseError as error:
        raise ValueError(str(error)) from error
    return tuple(_parse_object(item) for item in root.iter("object"))


def voc_boxes(path: Path, report: ReportBuilder) -> tuple[RawBox, ...]:
    """Return the boxes of a VOC file; () with a finding when it cannot be understood."""
    try:
        return parse_voc(path.read_bytes())
    except (OSError, ValueError):
        report.add(ProblemKind.BROKEN_ANNOTATION, path.name)
        return ()


def read_voc(
    folder: Path, *, band: Band | None = None, options: Options | None = None
) -> tuple[CaptureSet, ReadReport]:
    """Read ``JPEGImages/`` with ``Annotations/``; every image is a scene of its own.

    Raises:
        DataError: no frame is usable.
    """
    report = ReportBuilder("Pascal VOC")
    images = image_files(folder / "JPEGImages")
    if not images:
        raise DataError(f"{folder}: JPEGImages holds no image of {', '.join(sorted(IMAGE_SUFFIXES))}")
    kind = band or (_band_of(next(iter(images.values()))))
    frames = []
    for stem, image in images.items():
        annotation = folder / "Annotations" / f"{stem}.xml"
        boxes = voc_boxes(annotation, report) if annotation.is_file() else ()
        eo, lwir = (image, None) if kind is Band.EO else (None, image)
        frames.append(RawFrame(stem, stem, eo, lwir, boxes))
    return assemble(folder.name, frames, report, options)


def _band_of(image: Path) -> Band:
    found = image_size(image, decode=False)
    return Band.LWIR if found is not None and found[1] in {"L", "I", "I;16", "I;16B", "F"} else Band.EO


def _parse_object(item: ET.Element) -> RawBox:
    name = item.findtext("name", "").strip()
    box = None
    for tag in ("bndbox", "polygon", "robndbox"):
        element = item.find(tag)
        if element is not None:
            box = _rectangle({child.tag.lower(): float(child.text or "nan") for child in element})
            break
    if not name or box is None:
        raise ValueError("an object lacks its name or box")
    occlusion = _OCCLUSION.get(item.findtext("occlusion", "0").strip(), 0.0)
    return RawBox(name, box, item.findtext("ignore", "0").strip() == "1", occlusion)


def _rectangle(values: dict[str, float]) -> tuple[float, float, float, float]:
    if {"xmin", "ymin", "xmax", "ymax"} <= values.keys():
        box = values["xmin"], values["ymin"], values["xmax"], values["ymax"]
    elif {"x", "y", "w", "h"} <= values.keys():
        box = values["x"], values["y"], values["x"] + values["w"], values["y"] + values["h"]
    elif {"x1", "y1"} <= values.keys():
        x = [v for key, v in values.items() if key.startswith("x")]
        y = [v for key, v in values.items() if key.startswith("y")]
        box = min(x), min(y), max(x), max(y)
    elif {"cx", "cy", "w", "h", "angle"} <= values.keys():
        c, s = abs(math.cos(values["angle"])), abs(math.sin(values["angle"]))
        half_x, half_y = (values["w"] * c + values["h"] * s) / 2, (values["w"] * s + values["h"] * c) / 2
        box = values["cx"] - half_x, values["cy"] - half_y, values["cx"] + half_x, values["cy"] + half_y
    else:
        raise ValueError(f"a box with {sorted(values)} is of no known form")
    if not all(math.isfinite(v) for v in box):
        raise ValueError("a box has a side that is no number")
    return box
