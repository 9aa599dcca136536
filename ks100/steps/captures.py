"""Captures from wherever the user has them: a stored set, or a real dataset read in place."""

from __future__ import annotations

from pathlib import Path

from models.captures import CaptureSet

__all__ = ["load_captures"]


def load_captures(path: Path) -> tuple[CaptureSet, tuple[str, ...]]:
    """Return the captures at ``path``, and lines on what could not be read of them.

    Args:
        path: a stored set's folder, or a dataset's annotation file or folder.

    Raises:
        DataError: it is neither.
    """
    if (path / "captures.json").is_file():
        return CaptureSet.load(path), ()
    from models.readers import read_dataset

    captures, report = read_dataset(path)
    return captures, tuple(report.lines())
