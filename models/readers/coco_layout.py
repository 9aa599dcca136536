"""Layout of COCO datasets: locating a file's images, and the files of a folder that form one dataset."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from models.captures import CaptureSet
from models.errors import DataError
from models.readers.assemble import Options, RawFrame, assemble
from models.readers.bands import Band
from models.readers.coco import CocoImage, is_coco, load_json, parse_coco
from models.readers.files import find_file, find_folder, relative
from models.readers.names import frame_ids
from models.readers.pixels import IMAGE_SUFFIXES
from models.readers.report import FrameCounts, ProblemKind, ReadReport, ReportBuilder
from models.readers.single import bands_of

__all__ = ["coco_files", "read_coco"]

# COCO's files are named by their content: instances_val2017.json.
_KINDS = ("instances_", "person_keypoints_", "captions_", "stuff_", "panoptic_", "image_info_")
_FOLDERS = ("annotations", "annotation", "labels")
_ROBOFLOW = "*/_annotations.coco.json"
_SAMPLE = 50
_MAX_SNIFFED = 40


def coco_files(folder: Path) -> list[Path]:
    """Return the COCO files of the dataset in ``folder``: directly in it, in ``annotations``, or one per split.

    If several kinds of COCO files exist, those with boxes (``instances_``) are used.
    """
    places = [folder, *(place for name in _FOLDERS if (place := find_folder(folder, name)) is not None)]
    found = [path for place in places for path in sorted(place.glob("*.json"))] + sorted(folder.glob(_ROBOFLOW))
    known = [path for path in dict.fromkeys(found) if not path.name.startswith(".")]
    instances = [path for path in known if path.name.startswith("instances_")]
    return [path for path in (instances or known)[:_MAX_SNIFFED] if _looks_like_coco(path)]


def read_coco(
    paths: Sequence[Path], options: Options | None = None, *, name: str | None = None
) -> tuple[CaptureSet, ReadReport]:
    """Read one or more COCO files, each with images of one band, in place.

    Args:
        paths: the files; with several, the name of a frame's file becomes its condition ``split``.
        options: class map, band, scaling and checks.
        name: name of the set.

    Raises:
        DataError: a file cannot be read, has no images, or none of them can be found.
    """
    report = ReportBuilder("COCO")
    found: list[tuple[Path, Path, CocoImage]] = []
    for path in paths:
        data = load_json(path)
        if "annotation" in data and "annotations" not in data:
            report.layout = "HIT-UAV (a COCO dialect)"
        images = parse_coco(data, path, report)
        folder = _find_images(path, images, report)
        found += [(path, find_file(folder, image.file), image) for image in images]
    return assemble(name or paths[0].stem, _frames(paths, found, options, report), report, options)


def _frames(
    paths: Sequence[Path], found: list[tuple[Path, Path, CocoImage]], options: Options | None, report: ReportBuilder
) -> Iterator[RawFrame]:
    root = Path(os.path.commonpath([*(path.parent for path in paths), *(file.parent for _, file, _ in found)]))
    files = list(dict.fromkeys(file for _, file, _ in found))
    ids = dict(zip(files, frame_ids([relative(file, root) for file in files]), strict=True))
    bands = dict(zip(files, bands_of(files, root, options, report), strict=True))
    seen: set[Path] = set()
    for path, file, image in found:
        if file in seen:
            report.add(ProblemKind.DUPLICATE_ID, f"{relative(file, root)} in {path.name}")
            continue
        seen.add(file)
        eo, lwir = (file, None) if bands[file] is Band.EO else (None, file)
        split = (("split", _subset(path)),) if len(paths) > 1 else ()
        conditions = (*image.conditions, *split)
        if image.labels is None:
            report.add(ProblemKind.NO_ANNOTATION, file.name)
        yield RawFrame(ids[file], image.scene or ids[file], eo, lwir, image.labels, conditions)


def _subset(path: Path) -> str:
    """Return the split of a file: ``val2017`` of ``instances_val2017.json``."""
    if path.name.startswith("_annotations"):
        return path.parent.name  # Roboflow: valid/_annotations.coco.json
    name = path.stem
    for kind in _KINDS:
        name = name.removeprefix(kind)
    return name


def _find_images(path: Path, images: Sequence[CocoImage], report: ReportBuilder) -> Path:
    """Return the folder around the JSON with the most of the first images.

    Raises:
        DataError: no folder has any.
    """
    sample = images[:: max(1, len(images) // _SAMPLE)][:_SAMPLE]
    subset = _subset(path)
    inner = ("", "data", "images", "JPEGImages", "imgs", "img", subset, path.stem, f"images/{subset}",
             f"{subset}/images", f"{subset}/data", f"data/{subset}")  # fmt: skip
    places = [above / name for above in (path.parent, path.parent.parent) for name in inner]
    best = max(places, key=lambda place: _held(place, sample))
    if _held(best, sample):
        return best
    deeper = _search(path.parent if path.parent.name != "annotations" else path.parent.parent, sample)
    if deeper is not None:
        return deeper
    if not images:
        why = "; ".join(str(problem) for problem in report.build(FrameCounts(), 0).problems) or "the file lists none"
        raise DataError(f"{path}: no usable image: {why}")
    raise DataError(
        f"{path}: its images ({images[0].file}, ...) are in none of the usual folders around it; put them beside it "
        "or into 'images', or describe the dataset in a TOML file (docs/captures.md)"
    )


def _held(place: Path, sample: Sequence[CocoImage]) -> int:
    return sum(find_file(place, image.file).is_file() for image in sample) if place.is_dir() else 0


def _search(root: Path, sample: Sequence[CocoImage]) -> Path | None:
    """Return the folder anywhere below ``root`` with the most images of the sample."""
    wanted = {image.file.rpartition("/")[2]: image for image in sample}
    found: dict[Path, int] = {}
    for file in root.rglob("*"):
        image = wanted.get(file.name) if file.suffix.lower() in IMAGE_SUFFIXES else None
        if image is not None and file.as_posix().endswith("/" + image.file):
            folder = file.parents[image.file.count("/")]
            found[folder] = found.get(folder, 0) + 1
    return max(found, key=lambda folder: found[folder]) if found else None


def _looks_like_coco(path: Path) -> bool:
    try:
        return is_coco(load_json(path))
    except DataError:
        return False
