"""Which EO frame belongs to which LWIR frame: by stem, by a JSON map or by a CSV; never by sorted position."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from models.errors import DataError
from models.readers.report import ProblemKind, ReportBuilder

__all__ = ["IMAGE_SUFFIXES", "image_files", "pair_by_map", "pair_by_stem", "read_pairs"]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp"})


def image_files(folder: Path) -> dict[str, Path]:
    """Return the image files in ``folder`` by stem, in order of their names; {} if there is no folder."""
    if not folder.is_dir():
        return {}
    return {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()}


def pair_by_stem(
    eo: Mapping[str, Path], lwir: Mapping[str, Path], report: ReportBuilder
) -> dict[str, tuple[Path, Path]]:
    """Return (EO file, LWIR file) for each stem that both bands have; report the others."""
    for stem in sorted(eo.keys() ^ lwir.keys()):
        report.add(ProblemKind.UNPAIRED, (eo.get(stem) or lwir[stem]).name)
    return {stem: (eo[stem], lwir[stem]) for stem in sorted(eo.keys() & lwir.keys())}


def pair_by_map(
    pairs: Mapping[str, str], eo: Mapping[str, Path], lwir: Mapping[str, Path], report: ReportBuilder
) -> dict[str, tuple[Path, Path]]:
    """Return (EO file, LWIR file) by LWIR name for ``pairs`` of EO name to LWIR name; report what has no partner."""
    found: dict[str, tuple[Path, Path]] = {}
    for eo_name, lwir_name in sorted(pairs.items()):
        if eo_name not in eo or lwir_name not in lwir:
            report.add(ProblemKind.UNPAIRED, eo_name if lwir_name not in lwir else lwir_name)
        elif lwir_name in found:
            report.add(ProblemKind.DUPLICATE_ID, lwir_name)
        else:
            found[lwir_name] = (eo[eo_name], lwir[lwir_name])
    for name in sorted((eo.keys() - pairs.keys()) | (lwir.keys() - set(pairs.values()))):
        report.add(ProblemKind.UNPAIRED, name)
    return found


def read_pairs(path: Path) -> dict[str, str]:
    """Read a CSV with the columns ``eo`` and ``lwir`` (file names).

    Raises:
        DataError: it cannot be read, or lacks a column.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV ({error})") from error
    if not rows or not {"eo", "lwir"} <= set(rows[0]):
        raise DataError(f"{path}: needs the columns 'eo' and 'lwir' and at least one row")
    return {row["eo"]: row["lwir"] for row in rows if row["eo"] and row["lwir"]}
