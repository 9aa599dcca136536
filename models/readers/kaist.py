"""The KAIST multispectral pedestrian dataset (Hwang et al., CVPR 2015), with annotations as XML or text.

The text format is ``bbGt version=3`` of Dollar's toolbox: a line of 12 fields per object.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from models.captures import CaptureSet, ObjectClass
from models.readers.assemble import Options, RawBox, RawFrame, RawLabels, assemble
from models.readers.classes import ClassMap, MappedClass
from models.readers.files import find_folder, images_in
from models.readers.pairing import pair_by_stem
from models.readers.report import ProblemKind, ReadReport, ReportBuilder
from models.readers.text import flag, number, read_text
from models.readers.voc import voc_labels

__all__ = ["parse_bbgt", "read_kaist"]

_NIGHT = frozenset({"set03", "set04", "set05", "set09", "set10", "set11"})
_ANNOTATIONS = ("annotations-xml-15", "annotations-xml-new-sanitized", "annotations-xml-new", "annotations-xml",
                "annotations-txt", "annotations", "annotation")  # fmt: skip
_OCCLUSION = {0: 0.0, 1: 0.3, 2: 0.7}
_MAX_BYTES = 16_000_000
# Groups, and objects the annotators were unsure of.
_GROUPS = {name: MappedClass(ObjectClass.PERSON, ignore=True) for name in ("people", "person?", "person?a", "crowd")}


def parse_bbgt(text: str) -> tuple[tuple[RawBox, ...], tuple[int, ...]]:
    """Return the boxes of a ``bbGt`` text, and the numbers of the lines that cannot be parsed.

    A line: label, x, y, width, height, occluded, visible x, y, width, height, ignore, angle.
    """
    boxes, broken = [], []
    for line_number, line in enumerate(text.splitlines(), start=1):
        fields = line.split()
        if not fields or fields[0].startswith("%"):
            continue
        try:
            x, y, width, height = (number(v) for v in fields[1:5])
            rest = [number(v) for v in fields[5:]]
        except ValueError:
            broken.append(line_number)
            continue
        occlusion = _OCCLUSION.get(int(rest[0]), 0.0) if rest else 0.0
        ignore = len(rest) > 5 and flag(rest[5])
        boxes.append(RawBox(fields[0], (x, y, x + width, y + height), ignore, occlusion))
    return tuple(boxes), tuple(broken)


def read_kaist(folder: Path, options: Options | None = None) -> tuple[CaptureSet, ReadReport]:
    """Read KAIST: ``images/setXX/VYYY/{visible,lwir}/I#####.jpg`` and ``annotations*/setXX/VYYY``.

    ``people`` are groups in this dataset and ignored unless the options map the class.

    Raises:
        DataError: no frame is usable.
    """
    report = ReportBuilder("KAIST")
    options = options or Options()
    if options.classes == ClassMap():
        options = replace(options, classes=options.classes.with_names(_GROUPS))
    root = find_folder(folder, "images") or folder
    places = [place for name in _ANNOTATIONS if (place := find_folder(folder, name)) is not None]
    if any(next(place.rglob("*.vbb"), None) for place in places):
        report.note("annotations in .vbb (MATLAB) are not read: convert them to text with the dataset's toolbox")

    def frames() -> Iterator[RawFrame]:
        for video in sorted(p for p in root.glob("set*/V*") if p.is_dir()):
            recording, name = video.parent.name, video.name
            key, when = f"{recording}-{name}", "night" if recording in _NIGHT else "day"
            pairs = pair_by_stem(images_in(video / "visible", report), images_in(video / "lwir", report), report)
            for stem, (visible, thermal) in pairs.items():
                found = _find(places, Path(recording) / name, stem)
                if found is None:
                    report.add(ProblemKind.NO_ANNOTATION, f"{key}-{stem}")
                labels = None if found is None else _labels(found, report)
                yield RawFrame(f"{key}-{stem}", key, visible, thermal, labels, (("thermal", when),))

    return assemble(folder.name, frames(), report, options)


def _find(places: list[Path], video: Path, stem: str) -> Path | None:
    """Return a frame's annotation file from the first folder that has one, the thermal frame's if there are two."""
    candidates = (
        place / video / part / f"{stem}{suffix}"
        for place in places for part in ("lwir", "", "visible") for suffix in (".xml", ".txt")
    )  # fmt: skip
    return next((path for path in candidates if path.is_file()), None)


def _labels(path: Path, report: ReportBuilder) -> RawLabels | None:
    if path.suffix == ".xml":
        return voc_labels(path, report)
    try:
        boxes, broken = parse_bbgt(read_text(path, _MAX_BYTES))
    except (OSError, ValueError):
        report.add(ProblemKind.BROKEN_ANNOTATION, path.name)
        return None
    for line in broken:
        report.add(ProblemKind.BROKEN_ANNOTATION, f"{path.name}:{line}")
    return None if broken and not boxes else RawLabels(boxes, source=path)
