"""Matching listed names with files, and naming frames; ambiguous names match nothing."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from models.readers.text import alike, posix

__all__ = ["Assignment", "assign", "facts_of_name", "frame_ids"]

# Suo et al., Scientific Data 10, 227, 2023 (HIT-UAV): 0_100_30_0_03306.jpg.
_HIT_UAV = re.compile(r"^(?P<night>[01])_(?P<altitude>\d+)_(?P<angle>\d+)_(?P<weather>\d+)_(?P<frame>\d+)$")
# Neighbouring video frames are alike, so frames are grouped by blocks of numbers, which run through all splits.
_RUN_LENGTH = 100
# Frames of the clips of Svanström et al., Data in Brief 39, 2021: close_IR_AIRPLANE_001_0026.jpg.
_CLIP = re.compile(r"^(?P<distance>close|medium|distant)_(?P<clip>(?:IR|V)_[A-Z]+_\d+)_\d+$")


@dataclass(frozen=True)
class Assignment:
    """Listed names by file.

    Attributes:
        by_file: the listed name of each file that has one.
        ambiguous: files matched by a name that matches other files as well.
        unused: listed names without a file.
    """

    by_file: Mapping[str, str]
    ambiguous: tuple[str, ...]
    unused: tuple[str, ...]


def assign(listed: Iterable[str], files: Iterable[str]) -> Assignment:
    """Match listed names with files (paths relative to their dataset, with slashes).

    A name matches a path if one ends with the other, folder by folder; a folder common to all names is disregarded.
    Names may omit the suffix. Matching ignores case.
    """
    names = list(dict.fromkeys(listed))
    index: dict[tuple[str, ...], list[str]] = defaultdict(list)
    one_folder = len({_parts(name)[:-1] for name in names}) == 1
    for name in names:
        parts = _parts(name)
        index[parts].append(name)
        if one_folder and len(parts) > 1:
            index[parts[-1:]].append(name)
        # A name longer than the path: "set/day/1.png" for "day/1.png".
        elif not one_folder:
            for start in range(1, len(parts) - 1):
                index[parts[start:]].append(name)
    found = {file: _lookup(_parts(file), index) for file in files}
    closest: dict[str, int] = {}
    for hits, length in found.values():
        for hit in hits:
            closest[hit] = max(closest.get(hit, 0), length)
    # Of several matching paths, the one with the most matching folders wins.
    fitting = {file: [h for h in hits if closest[h] == length] for file, (hits, length) in found.items()}
    claims = Counter(hit for hits in fitting.values() for hit in hits)
    by_file = {file: hits[0] for file, hits in fitting.items() if len(hits) == 1 and claims[hits[0]] == 1}
    ambiguous = tuple(file for file, hits in fitting.items() if hits and file not in by_file)
    return Assignment(by_file, ambiguous, tuple(name for name in names if name not in claims))


def _parts(name: str) -> tuple[str, ...]:
    return tuple(part for part in alike(posix(name)).split("/") if part)


def _lookup(parts: tuple[str, ...], index: Mapping[tuple[str, ...], list[str]]) -> tuple[list[str], int]:
    """Return the names matched by the longest suffix of a path, and the length of that suffix in parts."""
    for start in range(len(parts)):
        tail = parts[start:]
        stem = (*tail[:-1], tail[-1].rpartition(".")[0] or tail[-1])
        hits = index.get(tail) or index.get(stem)
        if hits:
            return hits, len(tail)
    return [], 0


def frame_ids(files: Sequence[str]) -> list[str]:
    """Return unique ids of files: their stems, or as much of their paths as is needed to be unique."""
    paths = [PurePosixPath(file) for file in files]
    for candidates in ([p.stem for p in paths], [p.with_suffix("").as_posix() for p in paths]):
        if len(set(candidates)) == len(candidates):
            return candidates
    return [p.as_posix() for p in paths]


def facts_of_name(stem: str) -> tuple[str | None, tuple[tuple[str, str], ...]]:
    """Return the scene and conditions encoded in file names of published datasets; (None, ()) for others."""
    match = _HIT_UAV.match(stem)
    if match is not None:
        run = int(match["frame"]) // _RUN_LENGTH * _RUN_LENGTH
        when = "night" if match["night"] == "1" else "day"
        return f"frames-{run:05d}", (
            ("thermal", when), ("altitude", f"{match['altitude']} m"), ("angle", f"{match['angle']} deg"),
        )  # fmt: skip
    match = _CLIP.match(stem)
    if match is not None:
        return match["clip"], (("distance", match["distance"]),)
    return None, ()
