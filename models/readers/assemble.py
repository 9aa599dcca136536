"""Assembling a capture set from parsed frames: the one place that checks images, boxes and classes.

Parsers of layouts handle files and formats and yield `RawFrame`s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from models.captures import Capture, CaptureSet, Conditions, ObjectClass, TruthObject
from models.errors import DataError
from models.progress import Count
from models.readers.bands import Band
from models.readers.classes import ClassMap
from models.readers.frames import FileFrames, FramePaths, FrameScaling
from models.readers.pixels import ImageDefect, ImageInfo, image_info
from models.readers.report import FrameCounts, ProblemKind, ReadReport, ReportBuilder

__all__ = ["Options", "RawBox", "RawFrame", "RawLabels", "assemble"]

Rectangle = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class RawBox:
    """A box as annotated in a dataset.

    Attributes:
        name: the dataset's class name.
        box: x0, y0, x1, y1 in pixels of the annotated file, before any crop; fractions of its size if relative.
        ignore: the dataset marks it as ignored.
        occlusion: hidden fraction, 0 to 1.
    """

    name: str
    box: Rectangle
    ignore: bool = False
    occlusion: float = 0.0


@dataclass(frozen=True, slots=True)
class RawLabels:
    """The annotations of a frame; without boxes it is labelled as empty.

    Attributes:
        boxes: the objects.
        size: annotated width and height, if any.
        relative: boxes are fractions of the image size.
        source: annotation file of this frame only; if two frames have the same one, neither is labelled.
    """

    boxes: tuple[RawBox, ...] = ()
    size: tuple[int, int] | None = None
    relative: bool = False
    source: Path | None = None


@dataclass(frozen=True, slots=True)
class RawFrame:
    """A frame as listed in a dataset.

    Attributes:
        id: unique within the dataset.
        scene: sequence or place; frames of one scene are never split across pools.
        eo: visible image or None.
        lwir: thermal image or None.
        labels: its annotations; None if unlabelled.
        conditions: pairs of axis and category.
    """

    id: str
    scene: str
    eo: Path | None
    lwir: Path | None
    labels: RawLabels | None = None
    conditions: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        """The file to name in messages: the thermal one if both exist."""
        path = self.lwir or self.eo
        return self.id if path is None else path.name


@dataclass(frozen=True)
class Options:
    """Options of reading a dataset.

    Attributes:
        classes: maps class names.
        band: band of a single-band dataset; None infers it from names and pixels.
        decode: decode every image now, so that truncated files are reported; otherwise only headers are read.
        scaling: conversion of a file's samples and pixels to those of a capture.
        progress: called with (frames checked, frames in all).
        wanted: class names that the set is to have, where neither ``classes`` nor a description says otherwise.
    """

    classes: ClassMap = field(default_factory=ClassMap)
    band: Band | None = None
    decode: bool = True
    scaling: FrameScaling = field(default_factory=FrameScaling)
    progress: Count | None = None
    wanted: tuple[str, ...] = ()


def assemble(
    name: str, frames: Iterable[RawFrame], report: ReportBuilder, options: Options | None = None
) -> tuple[CaptureSet, ReadReport]:
    """Check the frames and return the set with its report.

    Raises:
        DataError: no frame is usable.
    """
    options = options or Options()
    listed = list(frames)
    options = _with_own_classes(listed, options, report)
    shared = Counter(f.labels.source for f in listed if f.labels is not None and f.labels.source is not None)
    captures: list[Capture] = []
    paths: list[FramePaths] = []
    seen: set[str] = set()
    for number, frame in enumerate(listed, start=1):
        if options.progress is not None:
            options.progress(number, len(listed))
        if frame.id in seen:
            report.add(ProblemKind.DUPLICATE_ID, frame.id)
            continue
        seen.add(frame.id)
        grid = _check_images(frame, report, options)
        if grid is None:
            continue
        labels = frame.labels
        if labels is not None and labels.source is not None and shared[labels.source] > 1:
            report.add(ProblemKind.AMBIGUOUS, frame.id)
            labels = None
        objects = None if labels is None else _objects(frame.id, labels, grid, report, options)
        size = (grid.paths.width, grid.paths.height)
        conditions = Conditions(frame.conditions)
        captures.append(Capture(frame.id, frame.scene, *size, conditions, objects or (), labelled=objects is not None))
        paths.append(grid.paths)
    result = report.build(_counts(captures), sum(len(capture.objects) for capture in captures))
    if not captures:
        why = "; ".join(str(problem) for problem in result.problems) or "the dataset is empty"
        raise DataError(f"{name}: no usable frame: {why}")
    return CaptureSet(name, tuple(captures), FileFrames(tuple(paths), options.scaling), options.classes.classes), result


def _with_own_classes(frames: Sequence[RawFrame], options: Options, report: ReportBuilder) -> Options:
    """Return options with the classes that are wanted, or the dataset's own where it has no name that we know."""
    if options.wanted and options.classes == ClassMap():
        return replace(options, classes=ClassMap.of(options.wanted))
    boxes = (box for frame in frames if frame.labels is not None for box in frame.labels.boxes)
    names = sorted({box.name for box in boxes if not box.ignore})
    if not names or options.classes != ClassMap() or any(options.classes.get(name) for name in names):
        return options
    report.note(f"its own classes: {', '.join(names)}")
    return replace(options, classes=ClassMap.of(names))


def _counts(captures: Iterable[Capture]) -> FrameCounts:
    states = Counter((capture.labelled, bool(capture.objects)) for capture in captures)
    return FrameCounts(states[True, True], states[True, False], states[False, False])


@dataclass(frozen=True, slots=True)
class _Grid:
    """A frame's files, and the mapping of annotated boxes to its pixels: scale, then crop."""

    paths: FramePaths
    drawn: tuple[int, int]
    scale: tuple[float, float]


def _check_images(frame: RawFrame, report: ReportBuilder, options: Options) -> _Grid | None:
    """Return the capture's pixel grid after the crop; None, with a finding, if an image is missing or broken."""
    found: dict[Band, ImageInfo] = {}
    for band, path in ((Band.EO, frame.eo), (Band.LWIR, frame.lwir)):
        if path is None:
            continue
        if not path.is_file():
            report.add(ProblemKind.MISSING_IMAGE, path.name)
            return None
        info = image_info(path, decode=options.decode)
        if isinstance(info, ImageDefect):
            kind = ProblemKind.HUGE_IMAGE if info is ImageDefect.HUGE else ProblemKind.BROKEN_IMAGE
            report.add(kind, path.name)
            return None
        found[band] = info
    if not found:
        report.add(ProblemKind.MISSING_IMAGE, frame.id)
        return None
    band = options.scaling.reference if options.scaling.reference in found else next(iter(found))
    annotated = frame.labels.size if frame.labels is not None else None
    # Annotated as stored, by a tool that ignores the EXIF orientation.
    unturned = annotated == found[band].stored != found[band].size
    drawn = found[band].stored if unturned else found[band].size
    crop = options.scaling.crop_px
    width, height = drawn[0] - 2 * crop, drawn[1] - 2 * crop
    if width < 1 or height < 1:
        report.add(ProblemKind.BROKEN_IMAGE, frame.name)
        return None
    scale = _scale(annotated, drawn, frame, report)
    return _Grid(FramePaths(frame.eo, frame.lwir, width, height, band if unturned else None), drawn, scale)


def _scale(
    annotated: tuple[int, int] | None, drawn: tuple[int, int], frame: RawFrame, report: ReportBuilder
) -> tuple[float, float]:
    """Return the factors from annotated to actual pixels, for images that were scaled after annotation."""
    if annotated is None or annotated == drawn:
        return 1.0, 1.0
    factors = drawn[0] / annotated[0], drawn[1] / annotated[1]
    alike = abs(factors[0] / factors[1] - 1) < 0.02
    done = "boxes scaled" if alike else "another aspect ratio: boxes unchanged"
    sizes = f"{annotated[0]}x{annotated[1]} annotated, {drawn[0]}x{drawn[1]} found"
    report.add(ProblemKind.SIZE_DIFFERS, f"{frame.id} ({sizes}; {done})")
    return factors if alike else (1.0, 1.0)


def _objects(
    frame_id: str, labels: RawLabels, grid: _Grid, report: ReportBuilder, options: Options
) -> tuple[TruthObject, ...] | None:
    """Return the objects; None if the frame has boxes but no usable one, so that it is not really empty."""
    objects, unusable = [], 0
    unit = grid.drawn if labels.relative else grid.scale
    crop = options.scaling.crop_px
    for raw in labels.boxes:
        x0, y0, x1, y1 = raw.box
        placed = (x0 * unit[0] - crop, y0 * unit[1] - crop, x1 * unit[0] - crop, y1 * unit[1] - crop)
        box = _clip(placed, (grid.paths.width, grid.paths.height), f"{frame_id} {raw.name}", report)
        if box is None:
            # Boxes removed by the crop were correct; the frame is then empty.
            unusable += placed[2] <= -crop or placed[3] <= -crop or not crop
            continue
        mapped = options.classes.get(raw.name)
        if mapped is None:
            report.add(ProblemKind.UNKNOWN_CLASS, raw.name)
        kind = mapped.object_class if mapped is not None else ObjectClass(0)
        ignore = raw.ignore or mapped is None or mapped.ignore
        objects.append(TruthObject(kind, box, occlusion=raw.occlusion, ignore=ignore))
    if unusable and not objects:
        report.add(ProblemKind.NO_BOX_LEFT, frame_id)
        return None
    return tuple(objects)


def _clip(box: Rectangle, size: tuple[int, int], name: str, report: ReportBuilder) -> Rectangle | None:
    """Return the part of the box inside the frame, or None."""
    x0, y0, x1, y1 = box
    # Not (a < b) rather than a >= b: it also catches NaN.
    if not (x0 < x1 and y0 < y1 and x1 > 0 and y1 > 0 and x0 < size[0] and y0 < size[1]):
        report.add(ProblemKind.BOX_OUTSIDE, name)
        return None
    clipped = (max(x0, 0.0), max(y0, 0.0), min(x1, float(size[0])), min(y1, float(size[1])))
    # One pixel beyond the edge is a matter of convention (pixel centres or borders), not an error.
    if max(abs(a - b) for a, b in zip(clipped, box, strict=True)) > 1.0:
        report.add(ProblemKind.BOX_CLIPPED, name)
    return clipped
