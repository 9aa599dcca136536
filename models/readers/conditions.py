"""Conditions of frames from file names, a JSON map of maps, or a CSV table."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from models.errors import DataError
from models.readers.coco import load_json
from models.readers.names import assign
from models.readers.text import read_table

__all__ = ["ConditionTable", "conditions_of_name"]

_KEY = "frame"


def conditions_of_name(pattern: re.Pattern[str], path: str) -> tuple[tuple[str, str], ...]:
    """Return an (axis, category) pair for each named group of ``pattern`` in ``path``; none if it does not match."""
    match = pattern.search(path)
    found = {} if match is None else match.groupdict()
    return tuple((axis, category) for axis, category in found.items() if category)


@dataclass(frozen=True)
class ConditionTable:
    """Conditions by the frame's path relative to the dataset."""

    rows: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path, frames: Iterable[str]) -> ConditionTable:
        """Read ``{"frame": {"axis": "category"}}`` (JSON), or a CSV with a column ``frame`` and one per axis.

        A frame may be named by its path, its file name, or its file name without suffix; a name that fits several
        frames is ignored.

        Args:
            path: the table.
            frames: paths of the frames, relative to the dataset.

        Raises:
            DataError: it is neither.
        """
        if path.suffix.lower() == ".json":
            data = load_json(path)
            if not all(isinstance(row, dict) for row in data.values()):
                raise DataError(f"{path}: must map each frame to a map of axes to categories")
            listed = {name: _pairs(row) for name, row in data.items()}
        else:
            rows = [row for row in read_table(path, (_KEY,)) if row.get(_KEY)]
            listed = {row[_KEY]: _pairs({a: c for a, c in row.items() if a != _KEY and a}) for row in rows}
        return cls({file: listed[name] for file, name in assign(listed, frames).by_file.items()})

    def get(self, path: str) -> tuple[tuple[str, str], ...]:
        """Return a frame's conditions; none if it is not in the table."""
        return self.rows.get(path, ())


def _pairs(row: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    return tuple((str(axis), str(category)) for axis, category in row.items() if category not in (None, ""))
