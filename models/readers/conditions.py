"""Conditions of frames from where a dataset keeps them: file names, a JSON map of maps, or a CSV table."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from models.errors import DataError
from models.readers.coco import load_json

__all__ = ["ConditionTable", "conditions_of_name"]

_KEY = "frame"


def conditions_of_name(pattern: re.Pattern[str], path: str) -> tuple[tuple[str, str], ...]:
    """Return an (axis, category) pair for each named group of ``pattern`` in ``path``; none if it does not fit."""
    match = pattern.search(path)
    found = {} if match is None else match.groupdict()
    return tuple((axis, category) for axis, category in found.items() if category)


@dataclass(frozen=True)
class ConditionTable:
    """Conditions by frame: its path, its file's name, or that without the suffix."""

    rows: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> ConditionTable:
        """Read ``{"frame": {"axis": "category"}}`` (JSON), or a CSV with a column ``frame`` and one for each axis.

        Raises:
            DataError: it is neither.
        """
        if path.suffix.lower() == ".json":
            data = load_json(path)
            if not all(isinstance(row, dict) for row in data.values()):
                raise DataError(f"{path}: must map each frame to a map of axes to categories")
            return cls({name: _pairs(row) for name, row in data.items()})
        try:
            with path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.DictReader(file))
        except (OSError, ValueError, csv.Error) as error:
            raise DataError(f"{path}: cannot be read as CSV ({error})") from error
        if not rows or not rows[0].get(_KEY):
            raise DataError(f"{path}: needs a column {_KEY!r} and at least one row")
        return cls({row[_KEY]: _pairs({a: c for a, c in row.items() if a != _KEY and a}) for row in rows if row[_KEY]})

    def get(self, path: str) -> tuple[tuple[str, str], ...] | None:
        """Return a frame's conditions, or None when the table does not have it."""
        name = Path(path)
        return next((self.rows[key] for key in (path, name.name, name.stem) if key in self.rows), None)


def _pairs(row: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    return tuple((str(axis), str(category)) for axis, category in row.items() if category not in (None, ""))
