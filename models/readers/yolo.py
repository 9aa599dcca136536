"""YOLO text labels: one line for each box, class index, centre and size as shares of the image."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from models.captures import CaptureSet
from models.errors import DataError
from models.readers.assemble import Options, RawBox, RawFrame, assemble
from models.readers.frames import Band, image_size
from models.readers.pairing import image_files
from models.readers.report import ProblemKind, ReadReport, ReportBuilder

__all__ = ["parse_names", "read_yolo", "yolo_boxes"]

_FLOW = re.compile(r"^names\s*:\s*[\[{](?P<body>.*?)[\]}]", re.MULTILINE | re.DOTALL)
_BLOCK = re.compile(
    r"^names\s*:\s*(?:#.*)?\n(?P<body>(?:[ \t]*(?:-|\d+\s*:)[^\n]*\n?|[ \t]*#[^\n]*\n|\n)+)", re.MULTILINE
)
_ITEM = re.compile(r"^\s*(?:-|(?P<index>\d+)\s*:)?\s*(?P<name>.*?)\s*$")


def parse_names(text: str) -> tuple[str, ...]:
    """Return the class names of a ``data.yaml`` (``names`` as list or map), or of a ``classes.txt``.

    Only this key is read, so that no YAML library is needed.

    Raises:
        ValueError: there are none, or a map skips an index.
    """
    flow, block = _FLOW.search(text), _BLOCK.search(text)
    if flow is not None:
        items = flow["body"].replace("\n", " ").split(",")
    elif block is not None:
        items = block["body"].splitlines()
    elif re.search(r"^\s*\w+\s*:", text, re.MULTILINE):
        raise ValueError("there is no list of names")
    else:
        items = text.splitlines()
    names: dict[int, str] = {}
    for item in items:
        match = _ITEM.match(item.split("#")[0])
        name = match["name"].strip("'\" ") if match is not None else ""
        if match is not None and name:
            names[int(match["index"]) if match["index"] else len(names)] = name
    if not names or sorted(names) != list(range(len(names))):
        raise ValueError("the names are missing, or skip an index")
    return tuple(names[index] for index in range(len(names)))


def yolo_boxes(path: Path, names: Sequence[str], size: tuple[int, int], report: ReportBuilder) -> tuple[RawBox, ...]:
    """Return the boxes of a label file in pixels; a missing file is an image without objects, as YOLO has it."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    except (OSError, ValueError):
        report.add(ProblemKind.BROKEN_ANNOTATION, path.name)
        return ()
    boxes = []
    for number, line in enumerate(lines, start=1):
        fields = line.split()
        if not fields:
            continue
        try:
            index, (x, y, width, height) = int(fields[0]), (float(v) for v in fields[1:5])
        except ValueError:
            report.add(ProblemKind.BROKEN_ANNOTATION, f"{path.name}:{number}")
            continue
        if len(fields) not in (5, 6) or index < 0 or not all(math.isfinite(v) for v in (x, y, width, height)):
            report.add(ProblemKind.BROKEN_ANNOTATION, f"{path.name}:{number}")
            continue
        name = names[index] if index < len(names) else f"class {index}"
        left, top = (x - width / 2) * size[0], (y - height / 2) * size[1]
        boxes.append(RawBox(name, (left, top, left + width * size[0], top + height * size[1])))
    return tuple(boxes)


def read_yolo(
    folder: Path, *, names: Sequence[str] | None = None, band: Band | None = None, options: Options | None = None
) -> tuple[CaptureSet, ReadReport]:
    """Read ``images/`` and ``labels/``, with or without folders for splits below them.

    Args:
        folder: the dataset.
        names: class names by index; None reads ``data.yaml`` or ``classes.txt``.
        band: what the images are; None takes colour for EO and grey for LWIR.
        options: class map and checks.

    Raises:
        DataError: the names are not to be found, or no frame is usable.
    """
    report = ReportBuilder("YOLO")
    known = tuple(names) if names is not None else _find_names(folder)
    root = folder / "images"
    frames = []
    for place in [root, *sorted(p for p in root.rglob("*") if p.is_dir())]:
        relative = place.relative_to(root)
        for stem, image in image_files(place).items():
            found = image_size(image, decode=False)
            # A broken image is reported when the set is assembled.
            size, mode = found if found is not None else ((1, 1), "L")
            boxes = yolo_boxes(folder / "labels" / relative / f"{stem}.txt", known, size, report)
            kind = band or (Band.LWIR if mode in {"L", "I", "I;16", "I;16B", "F"} else Band.EO)
            eo, lwir = (image, None) if kind is Band.EO else (None, image)
            key = (relative / stem).as_posix()
            frames.append(RawFrame(key, key, eo, lwir, boxes))
    return assemble(folder.name, frames, report, options)


def _find_names(folder: Path) -> tuple[str, ...]:
    for name in ("data.yaml", "dataset.yaml", "data.yml", "classes.txt", "labels/classes.txt"):
        file = folder / name
        if file.is_file():
            try:
                return parse_names(file.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise DataError(f"{file}: {error}; it should list the class names") from error
    raise DataError(f"{folder}: no data.yaml or classes.txt names the classes; give their names")
