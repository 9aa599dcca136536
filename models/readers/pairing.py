"""Pairing EO with LWIR frames by stem, JSON map or CSV; never by position in a sorted list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from models.readers.coco import load_json
from models.readers.files import relative
from models.readers.names import assign
from models.readers.report import ProblemKind, ReportBuilder
from models.readers.text import read_table

__all__ = ["pair_by_map", "pair_by_stem", "read_pairs"]


def pair_by_stem(
    eo: Mapping[str, Path], lwir: Mapping[str, Path], report: ReportBuilder
) -> dict[str, tuple[Path, Path]]:
    """Return (EO file, LWIR file) for each stem in both bands; report the others."""
    for stem in sorted(eo.keys() ^ lwir.keys()):
        report.add(ProblemKind.UNPAIRED, (eo.get(stem) or lwir[stem]).name)
    return {stem: (eo[stem], lwir[stem]) for stem in sorted(eo.keys() & lwir.keys())}


def pair_by_map(
    pairs: Sequence[tuple[str, str]], eo: Sequence[Path], lwir: Sequence[Path], root: Path, report: ReportBuilder
) -> list[tuple[Path, Path]]:
    """Return (EO file, LWIR file) for ``pairs`` of names, in order of the LWIR files; report files without a partner.

    Args:
        pairs: names of an EO and an LWIR file, with or without their folders.
        eo: the EO files.
        lwir: the LWIR files.
        root: folder of the dataset.
        report: receives the findings.
    """
    visible = _files_by_name([name for name, _ in pairs], eo, root, report)
    thermal = _files_by_name([name for _, name in pairs], lwir, root, report)
    found: dict[Path, Path] = {}
    for eo_name, lwir_name in pairs:
        if eo_name not in visible or lwir_name not in thermal:
            report.add(ProblemKind.UNPAIRED, eo_name if lwir_name not in thermal else lwir_name)
        elif thermal[lwir_name] in found:
            report.add(ProblemKind.DUPLICATE_ID, lwir_name)
        else:
            found[thermal[lwir_name]] = visible[eo_name]
    listed = {*visible.values(), *thermal.values()}
    for path in sorted({*eo, *lwir} - listed):
        report.add(ProblemKind.UNPAIRED, path.name)
    return [(found[file], file) for file in sorted(found)]


def _files_by_name(names: Sequence[str], files: Sequence[Path], root: Path, report: ReportBuilder) -> dict[str, Path]:
    by_path = {relative(file, root): file for file in files}
    assigned = assign(names, by_path)
    for path in assigned.ambiguous:
        report.add(ProblemKind.AMBIGUOUS, path)
    return {name: by_path[path] for path, name in assigned.by_file.items()}


def read_pairs(path: Path) -> list[tuple[str, str]]:
    """Read pairs of file names: a CSV with the columns ``eo`` and ``lwir``, or a JSON map of EO names to LWIR names.

    Raises:
        DataError: it cannot be read, or a column is missing.
    """
    if path.suffix.lower() == ".json":
        return [(eo, lwir) for eo, lwir in load_json(path).items() if isinstance(lwir, str)]
    rows = read_table(path, ("eo", "lwir"))
    return [(row["eo"], row["lwir"]) for row in rows if row.get("eo") and row.get("lwir")]
