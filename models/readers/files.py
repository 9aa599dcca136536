"""Files of a dataset: its images, and the annotation file of each image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from models.readers.pixels import IMAGE_SUFFIXES
from models.readers.report import ProblemKind, ReportBuilder
from models.readers.text import alike

__all__ = ["LabelPairs", "find_file", "find_folder", "images_below", "images_in", "pair_labels", "place_of", "relative"]

_IMAGE_FOLDERS = frozenset({"images", "image", "imgs", "img", "jpegimages", "data"})
_LABEL_FOLDERS = frozenset({
    "labels", "label", "annotations", "annotation", "labeltxt", "lbls", "xml", "xmls", "txt", "bboxes",
})  # fmt: skip
# Files beside images that are not frames.
_COMPANIONS = frozenset({
    ".txt", ".xml", ".json", ".csv", ".tsv", ".yaml", ".yml", ".toml", ".md", ".rst", ".html", ".pdf", ".names",
    ".data", ".cache", ".db", ".ini", ".log", ".py", ".m", ".mat", ".cfg", ".zip", ".url", "",
})  # fmt: skip


def find_folder(root: Path, *names: str) -> Path | None:
    """Return the first folder in ``root`` with one of the names, ignoring case."""
    present = {alike(p.name): p for p in _sorted(root) if p.is_dir()}
    return next((present[alike(name)] for name in names if alike(name) in present), None)


def find_file(folder: Path, name: str) -> Path:
    """Return ``folder / name``, with the case of the existing file if there is no exact match."""
    path = folder / name
    if path.exists():
        return path
    place = folder
    for part in Path(name).parts:
        spelt = _spellings(place).get(alike(part)) if place.is_dir() else None
        if spelt is None:
            return path
        place /= spelt
    return place


def _spellings(folder: Path) -> Mapping[str, str]:
    return _listing(folder, folder.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _listing(folder: Path, _changed_ns: int) -> Mapping[str, str]:
    """Return the names in a folder by their lower case; cached until the folder changes."""
    return {alike(path.name): path.name for path in _sorted(folder)}


def images_in(folder: Path, report: ReportBuilder | None = None) -> dict[str, Path]:
    """Return the images in ``folder`` by stem, sorted by name; {} without the folder.

    Of two images with the same stem the first is used and the other reported.
    """
    found: dict[str, Path] = {}
    for path in _frames_of(_sorted(folder), report):
        if path.stem in found and report is not None:
            report.add(ProblemKind.DUPLICATE_ID, path.name)
        found.setdefault(path.stem, path)
    return found


def images_below(root: Path, report: ReportBuilder | None = None) -> list[Path]:
    """Return the images in ``root`` and its subfolders, sorted by path.

    If there are image folders (``images``, ``JPEGImages``), images elsewhere (masks, previews) are ignored.
    """
    paths = [path for path in sorted(root.rglob("*")) if not _is_hidden(path.relative_to(root))]
    inside = [path for path in paths if _IMAGE_FOLDERS & {p.casefold() for p in path.relative_to(root).parts[:-1]}]
    holds_images = any(path.suffix.lower() in IMAGE_SUFFIXES for path in inside)
    return list(_frames_of(inside if holds_images else paths, report))


def _frames_of(paths: Iterable[Path], report: ReportBuilder | None) -> Iterable[Path]:
    for path in paths:
        if path.name.startswith(".") or path.is_dir():
            continue
        # A dangling link is listed and reported as missing when the frames are checked.
        if path.suffix.lower() in IMAGE_SUFFIXES:
            yield path
        elif path.suffix.lower() not in _COMPANIONS and report is not None:
            report.add(ProblemKind.UNREAD_FILE, path.name)


@dataclass(frozen=True)
class LabelPairs:
    """Annotation files by image.

    Attributes:
        by_image: the annotation file of each image that has one.
        orphans: annotation files without an image.
    """

    by_image: Mapping[Path, Path]
    orphans: tuple[Path, ...]


def pair_labels(root: Path, images: Sequence[Path], labels: Sequence[Path]) -> LabelPairs:
    """Pair images with annotation files of the same name in a parallel folder.

    ``images/train/a.png`` and ``labels/train/a.txt``, ``train/images/a.png`` and ``train/labels/a.txt``, or both in one
    folder; never ``labels/val/a.txt`` with an image of ``train``. A file directly in ``labels`` may belong to an
    image of any split if only one image has that name.
    """
    by_place: dict[tuple[tuple[str, ...], str], Path] = {}
    for label in labels:
        by_place.setdefault((place_of(root, label), alike(label.stem)), label)
    found: dict[Path, Path] = {}
    left: dict[str, list[Path]] = defaultdict(list)
    for image in images:
        parallel = by_place.get((place_of(root, image), alike(image.stem)))
        if parallel is not None:
            found[image] = parallel
        else:
            left[alike(image.stem)].append(image)
    used = set(found.values())
    for stem, candidates in left.items():
        top = by_place.get(((), stem))
        if top is not None and top not in used and len(candidates) == 1:
            found[candidates[0]] = top
            used.add(top)
    return LabelPairs(found, tuple(label for label in labels if label not in used))


def place_of(root: Path, path: Path) -> tuple[str, ...]:
    """Return a file's folders below ``root`` in lower case, without ``images`` and ``labels``."""
    folders = (alike(part) for part in path.relative_to(root).parts[:-1])
    return tuple(part for part in folders if part not in _IMAGE_FOLDERS and part not in _LABEL_FOLDERS)


def is_label_folder(path: Path) -> bool:
    """Whether a folder's name is one of annotation folders."""
    return path.name.casefold() in _LABEL_FOLDERS


def relative(path: Path, root: Path) -> str:
    """Return a path relative to ``root``, with slashes."""
    return path.relative_to(root).as_posix()


def _is_hidden(path: Path) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in path.parts)


def _sorted(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
