"""From what a layout's parser found to a capture set: one place that checks images, boxes and classes.

Parsers of layouts yield `RawFrame`s and know files and formats; this knows what makes a capture.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from models.captures import Capture, CaptureSet, Conditions, ObjectClass, TruthObject
from models.errors import DataError
from models.readers.classes import ClassMap
from models.readers.frames import Band, FileFrames, FramePaths, image_size
from models.readers.report import ProblemKind, ReadReport, ReportBuilder

__all__ = ["Options", "RawBox", "RawFrame", "assemble"]


@dataclass(frozen=True, slots=True)
class RawBox:
    """A box as a dataset gives it.

    Attributes:
        name: the dataset's class name.
        box: x0, y0, x1, y1 in pixels of the file that it was drawn on, before any crop.
        ignore: the dataset itself says that it does not count.
        occlusion: hidden share, 0 to 1.
    """

    name: str
    box: tuple[float, float, float, float]
    ignore: bool = False
    occlusion: float = 0.0


@dataclass(frozen=True, slots=True)
class RawFrame:
    """A frame as a dataset gives it.

    Attributes:
        id: unique within the dataset.
        scene: sequence or place; frames of one scene never go into different pools.
        eo: visible image or None.
        lwir: thermal image or None.
        boxes: its boxes.
        conditions: pairs of axis and category.
        size: annotated width and height, if any.
    """

    id: str
    scene: str
    eo: Path | None
    lwir: Path | None
    boxes: tuple[RawBox, ...] = ()
    conditions: tuple[tuple[str, str], ...] = ()
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Options:
    """How to read a dataset.

    Attributes:
        classes: names to classes.
        decode: decode every image now, so that truncated files are reported; off, only headers are read.
        reference: band whose pixels the boxes are given in, where a frame has both.
        crop_px: border to cut off both bands.
        kelvin_per_count: of 16-bit thermal files.
        eo_to_lwir: 3x3 homography, row by row.
    """

    classes: ClassMap = field(default_factory=ClassMap)
    decode: bool = True
    reference: Band = Band.LWIR
    crop_px: int = 0
    kelvin_per_count: float | None = None
    eo_to_lwir: tuple[float, ...] | None = None


def assemble(
    name: str, frames: Iterable[RawFrame], report: ReportBuilder, options: Options | None = None
) -> tuple[CaptureSet, ReadReport]:
    """Check the frames and return the set with its report.

    Raises:
        DataError: no frame is usable.
    """
    options = options or Options()
    captures: list[Capture] = []
    paths: list[FramePaths] = []
    seen: set[str] = set()
    for frame in frames:
        if frame.id in seen:
            report.add(ProblemKind.DUPLICATE_ID, frame.id)
            continue
        seen.add(frame.id)
        size = _check_images(frame, report, options)
        if size is None:
            continue
        objects = _objects(frame, size, report, options)
        captures.append(Capture(frame.id, frame.scene, *size, Conditions(frame.conditions), objects))
        paths.append(FramePaths(frame.eo, frame.lwir, *size))
    result = report.build(len(captures), sum(len(capture.objects) for capture in captures))
    if not captures:
        why = "; ".join(str(problem) for problem in result.problems) or "it lists none"
        raise DataError(f"{name}: no usable frame: {why}")
    source = FileFrames(tuple(paths), options.crop_px, options.kelvin_per_count, options.eo_to_lwir)
    return CaptureSet(name, tuple(captures), source), result


def _check_images(frame: RawFrame, report: ReportBuilder, options: Options) -> tuple[int, int] | None:
    """Return the capture's size, after the crop; None, with a finding, when an image is missing or broken."""
    sizes: dict[Band, tuple[int, int]] = {}
    for band, path in ((Band.EO, frame.eo), (Band.LWIR, frame.lwir)):
        if path is None:
            continue
        if not path.is_file():
            report.add(ProblemKind.MISSING_IMAGE, path.name)
            return None
        found = image_size(path, decode=options.decode)
        if found is None:
            report.add(ProblemKind.BROKEN_IMAGE, path.name)
            return None
        sizes[band] = found[0]
    if not sizes:
        report.add(ProblemKind.MISSING_IMAGE, frame.id)
        return None
    width, height = sizes.get(options.reference) or next(iter(sizes.values()))
    if frame.size is not None and frame.size != (width, height):
        report.add(ProblemKind.SIZE_DIFFERS, frame.id)
    width, height = width - 2 * options.crop_px, height - 2 * options.crop_px
    if width < 1 or height < 1:
        report.add(ProblemKind.BROKEN_IMAGE, frame.id)
        return None
    return width, height


def _objects(
    frame: RawFrame, size: tuple[int, int], report: ReportBuilder, options: Options
) -> tuple[TruthObject, ...]:
    objects = []
    for raw in frame.boxes:
        box = _clip(replace(raw, box=_shift(raw.box, options.crop_px)), size, frame.id, report)
        if box is None:
            continue
        mapped = options.classes.get(raw.name)
        if mapped is None:
            report.add(ProblemKind.UNKNOWN_CLASS, raw.name)
        kind = mapped.object_class if mapped is not None else ObjectClass.PERSON
        ignore = raw.ignore or mapped is None or mapped.ignore
        objects.append(TruthObject(kind, box, occlusion=raw.occlusion, ignore=ignore))
    return tuple(objects)


def _shift(box: Sequence[float], crop_px: int) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (float(v) - crop_px for v in box)
    return x0, y0, x1, y1


def _clip(
    raw: RawBox, size: tuple[int, int], frame_id: str, report: ReportBuilder
) -> tuple[float, float, float, float] | None:
    """Return the part of the box inside the frame, or None when there is none."""
    x0, y0, x1, y1 = raw.box
    # Not (a < b) rather than a >= b: it also catches NaN.
    if not (x0 < x1 and y0 < y1 and x1 > 0 and y1 > 0 and x0 < size[0] and y0 < size[1]):
        report.add(ProblemKind.BOX_OUTSIDE, f"{frame_id} {raw.name}")
        return None
    clipped = (max(x0, 0.0), max(y0, 0.0), min(x1, float(size[0])), min(y1, float(size[1])))
    # A pixel over the edge is a matter of counting pixels or their borders, no error.
    if max(abs(a - b) for a, b in zip(clipped, raw.box, strict=True)) > 1.0:
        report.add(ProblemKind.BOX_CLIPPED, f"{frame_id} {raw.name}")
    return clipped
