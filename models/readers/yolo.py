"""YOLO text labels: one line per object, with class index and box or corners as fractions of the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from models.captures import CaptureSet
from models.errors import DataError
from models.readers.assemble import Options, RawBox, RawFrame, RawLabels, assemble
from models.readers.bands import Band
from models.readers.files import images_below, is_label_folder, pair_labels, place_of, relative
from models.readers.names import facts_of_name, frame_ids
from models.readers.report import ProblemKind, ReadReport, ReportBuilder
from models.readers.segmentation import around_points
from models.readers.single import bands_of
from models.readers.text import number, read_text
from models.readers.yolo_names import YoloNames, find_names, load_names

__all__ = ["parse_yolo", "read_yolo", "yolo_files", "yolo_labels"]

_MAX_BYTES = 64_000_000
_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
# Lists of images and classes, and exporters' read-me files, in folders of label files.
_NO_LABELS = frozenset({"classes", "train", "val", "valid", "test", "obj", "predefined_classes", "notes", "license"})


def parse_yolo(
    text: str, names: Mapping[int, str], *, keypoints: bool = False
) -> tuple[tuple[RawBox, ...], tuple[int, ...]]:
    """Return the boxes of a label file, in fractions of the image, and the numbers of the lines that cannot be parsed.

    A line has a class and a box (centre and size), optionally a score, or a class and at least three corners, whose
    bounding rectangle is the box. Fields are separated by spaces, commas or semicolons.

    Args:
        text: content of the file.
        names: class names by index.
        keypoints: values after a box are keypoints, not corners.
    """
    boxes, broken = [], []
    for line_number, line in enumerate(text.splitlines(), start=1):
        # Between space-separated fields, a comma is a decimal comma.
        fields = line.replace(";", " ").split()
        fields = line.replace(";", " ").replace(",", " ").split() if 0 < len(fields) < 5 else fields
        if not fields:
            continue
        try:
            values = [number(field) for field in fields]
            index, rest = int(values[0]), values[1:]
            if index < 0 or index != values[0]:
                raise ValueError("a class must be an integer from 0")
            if len(rest) in {4, 5} or (keypoints and len(rest) > 5):
                x, y, width, height = rest[:4]
                box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            else:
                box = around_points(rest)
        except ValueError:
            broken.append(line_number)
            continue
        name = names.get(index)
        boxes.append(RawBox(name or f"class {index}", box, ignore=name is None))
    return tuple(boxes), tuple(broken)


def yolo_labels(path: Path, names: YoloNames, report: ReportBuilder) -> RawLabels | None:
    """Return the annotations in a label file; None, with a finding, if it cannot be parsed."""
    try:
        boxes, broken = parse_yolo(read_text(path, _MAX_BYTES), names.names, keypoints=names.keypoints)
    except (OSError, ValueError):
        report.add(ProblemKind.BROKEN_ANNOTATION, path.name)
        return None
    for line in broken:
        report.add(ProblemKind.BROKEN_ANNOTATION, f"{path.name}:{line}")
    return None if broken and not boxes else RawLabels(boxes, relative=True, source=path)


def yolo_files(root: Path, images: Sequence[Path]) -> list[Path]:
    """Return the label files in ``root`` and its subfolders: text files beside images or in a label folder."""
    beside, stems = {image.parent for image in images}, {image.stem for image in images}
    found = []
    for path in sorted(root.rglob("*.txt")):
        inside = path.parent in beside or any(is_label_folder(p) for p in path.parents if p.is_relative_to(root))
        named = path.stem.casefold() in _NO_LABELS or path.stem.casefold().startswith("readme")
        if inside and (path.stem in stems or not named) and not path.name.startswith("."):
            found.append(path)
    return found


def read_yolo(path: Path, options: Options | None = None) -> tuple[CaptureSet, ReadReport]:
    """Read a folder of images and label files, or the images listed by a ``data.yaml``.

    ``images/`` and ``labels/`` with or without subfolders for splits, ``train/images`` and ``train/labels``
    (Roboflow), or images and label files in one folder (Darknet). An image without a label file is unlabelled; an
    image with an empty label file is labelled as empty.

    Raises:
        DataError: there are no class names, no image has a label file, or no frame is usable.
    """
    report = ReportBuilder("YOLO")
    names = load_names(path) if path.is_file() else find_names(path)
    folder = _root(path, names) if path.is_file() else path
    present = images_below(folder, report)
    images = (_listed_images(folder, names) if path.is_file() else []) or present
    present = sorted({*present, *images})
    files = yolo_files(folder, present)
    pairs = pair_labels(folder, present, files)
    _check(folder, images, pairs.by_image, files)
    _report_orphans(pairs.orphans, names, report)
    ids = frame_ids(["/".join((*place_of(folder, image), image.name)) for image in images])
    frames = []
    for name, image, band in zip(ids, images, bands_of(images, folder, options, report), strict=True):
        if image not in pairs.by_image:
            report.add(ProblemKind.NO_ANNOTATION, image.name)
        labels = yolo_labels(pairs.by_image[image], names, report) if image in pairs.by_image else None
        eo, lwir = (image, None) if band is Band.EO else (None, image)
        scene, conditions = facts_of_name(image.stem)
        frames.append(RawFrame(name, scene or name, eo, lwir, labels, (*conditions, *_split(folder, image))))
    return assemble(folder.name, frames, report, options)


def _root(path: Path, names: YoloNames) -> Path:
    """Return the base folder of a ``data.yaml``: its own, or the one it names below that."""
    inner = path.parent / names.root if names.root and not names.root.startswith("/") else path.parent
    return inner if inner.is_dir() and ".." not in Path(names.root).parts else path.parent


def _listed_images(folder: Path, names: YoloNames) -> list[Path]:
    """Return the images in the existing folders listed by ``data.yaml``; none if it lists no folder."""
    found: dict[Path, None] = {}
    for listed in names.folders.values():
        for text in listed:
            # Roboflow writes ../train/images for train/images.
            place = folder / text.removeprefix("../").lstrip("/")
            if ".." not in Path(text.removeprefix("../")).parts and place.is_dir():
                found |= dict.fromkeys(images_below(place))
    return sorted(found)


def _check(folder: Path, images: Sequence[Path], known: Mapping[Path, Path], files: Sequence[Path]) -> None:
    if images and not known.keys() & set(images):
        example = relative(images[0].with_suffix(".txt"), folder)
        parallel = "/".join(("labels", *place_of(folder, images[0]), images[0].with_suffix(".txt").name))
        there = f"; there are {', '.join(relative(file, folder) for file in files[:3])}" if files else ""
        raise DataError(
            f"{folder}: none of the {len(images)} images has a label file; for "
            f"{relative(images[0], folder)} it should be {parallel} or {example}{there}"
        )


def _split(folder: Path, image: Path) -> tuple[tuple[str, str], ...]:
    found = [_SPLITS[part] for part in place_of(folder, image) if part in _SPLITS]
    return (("split", found[0]),) if found else ()


def _report_orphans(files: Sequence[Path], names: YoloNames, report: ReportBuilder) -> None:
    quiet = ReportBuilder("")
    for path in files:
        report.add(ProblemKind.ORPHAN_ANNOTATION, path.name)
        labels = yolo_labels(path, names, quiet)
        for _ in labels.boxes if labels is not None else ():
            report.add(ProblemKind.ORPHAN_BOX, path.name)
