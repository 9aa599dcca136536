"""Critical cells: named combinations of conditions and objects that matter most to a mission.

A cell combines conditions with a kind of object (a person under 18 px at thermal crossover in haze), so it has too few
objects for AP or the gate. Its figure is recall at the operating point, with Wilson's 95 % interval (Brown, Cai and
DasGupta, Statistical Science 16, 2001). The interval assumes independent objects, which those of one scene are not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firmware_bridge.errors import InputError
from firmware_bridge.input_files import read_toml
from models.captures import CLASSES, CaptureSet, TruthObject
from models.errors import RecipeError
from models.evaluation.evaluation import Evaluation
from models.evaluation.explain import check_captures

__all__ = ["DEFAULT_CELLS", "CellScore", "CriticalCell", "cell_scores", "load_cells"]

_Z95 = 1.959964


@dataclass(frozen=True, slots=True)
class CriticalCell:
    """A combination of conditions and objects; empty fields do not restrict it.

    Attributes:
        name: shown in tables.
        conditions: pairs of axis and category, all of which a frame must have.
        classes: names of the allowed classes of the object.
        under_height_px: the object's box is less high than this.
        over_range_m: the object is farther than this, and its range is known.
    """

    name: str
    conditions: tuple[tuple[str, str], ...] = ()
    classes: tuple[str, ...] = ()
    under_height_px: float = math.inf
    over_range_m: float = 0.0

    def holds(self, item: TruthObject, classes: Sequence[str] = CLASSES) -> bool:
        """Return whether an object of a set with these class names belongs to the cell."""
        far = self.over_range_m <= 0 or (item.range_m is not None and item.range_m > self.over_range_m)
        known = not self.classes or classes[item.object_class] in self.classes
        return far and known and item.box[3] - item.box[1] < self.under_height_px


DEFAULT_CELLS = (
    CriticalCell(
        "small person, crossover, haze",
        (("thermal", "crossover"), ("atmosphere", "haze")),
        ("person",),
        under_height_px=18,
    ),
    CriticalCell(
        "person at night, precipitation",
        (("thermal", "night"), ("atmosphere", "precipitation")),
        ("person",),
    ),
    CriticalCell("two-wheeler, crossover", (("thermal", "crossover"),), ("bicycle", "motorcycle")),
    CriticalCell("anything beyond 150 m", over_range_m=150),
)


@dataclass(frozen=True, slots=True)
class CellScore:
    """Recall in one cell.

    Attributes:
        name: the cell's.
        frames: frames with at least one of its objects.
        objects: its objects that are not ignored.
        found: objects that the model finds at its operating point.
        low: lower end of the 95 % interval of the recall, NaN without objects.
        high: upper end.
    """

    name: str
    frames: int
    objects: int
    found: int
    low: float
    high: float

    @property
    def recall(self) -> float:
        """Fraction of the objects found; NaN without objects."""
        return self.found / self.objects if self.objects else math.nan


def cell_scores(
    captures: CaptureSet, evaluation: Evaluation, cells: Sequence[CriticalCell] = DEFAULT_CELLS
) -> tuple[CellScore, ...]:
    """Return the recall in each cell.

    Raises:
        DataError: the evaluation is not of these captures.
    """
    check_captures(captures, evaluation)
    return tuple(_score(captures, evaluation, cell) for cell in cells)


def load_cells(path: Path, known: Sequence[str] | None = CLASSES) -> tuple[CriticalCell, ...]:
    """Read cells from TOML: ``[[cell]]`` tables with the fields of `CriticalCell`, conditions as a table.

    Args:
        path: the file.
        known: the class names that a cell may have; any if None.

    Raises:
        RecipeError: the file is missing or not TOML, or a cell has an unknown field, class or type.
    """
    try:
        items = read_toml(path, "a file of critical cells")
    except InputError as error:
        raise RecipeError(str(error)) from error
    cells = items.pop("cell", None)
    if items or not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells):
        raise RecipeError(f"{path}: it may contain [[cell]] tables only")
    return tuple(_cell(item, f"{path}: cell {position}", known) for position, item in enumerate(cells, start=1))


def _cell(item: dict[str, Any], where: str, known: Sequence[str] | None) -> CriticalCell:
    unknown = sorted(item.keys() - set(CriticalCell.__slots__))
    if unknown or not isinstance(item.get("name"), str):
        raise RecipeError(f"{where}: " + (f"unknown field {unknown[0]!r}" if unknown else "it needs a name"))
    try:
        classes = tuple(str(name) for name in item.get("classes", []))
        strange = [] if known is None else [name for name in classes if name not in known]
        if strange:
            raise RecipeError(f"{where}: unknown class {strange[0]!r}; known are {', '.join(known or ())}")
        return CriticalCell(
            item["name"],
            tuple((str(axis), str(category)) for axis, category in item.get("conditions", {}).items()),
            classes,
            float(item.get("under_height_px", math.inf)),
            float(item.get("over_range_m", 0)),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise RecipeError(f"{where}: a field is of the wrong type ({error})") from error


def _score(captures: CaptureSet, evaluation: Evaluation, cell: CriticalCell) -> CellScore:
    frames = objects = missed = 0
    for capture, record in zip(captures.captures, evaluation.frames, strict=True):
        if not set(cell.conditions) <= set(capture.conditions.items):
            continue
        mine = {i for i in record.match.counted.tolist() if cell.holds(capture.objects[i], captures.classes)}
        frames += bool(mine)
        objects += len(mine)
        missed += len(mine & set(record.missed))
    return CellScore(cell.name, frames, objects, objects - missed, *_wilson(objects - missed, objects))


def _wilson(found: int, objects: int) -> tuple[float, float]:
    if not objects:
        return math.nan, math.nan
    share, z2 = found / objects, _Z95**2
    middle = (share + z2 / (2 * objects)) / (1 + z2 / objects)
    half = _Z95 / (1 + z2 / objects) * math.sqrt(share * (1 - share) / objects + z2 / (4 * objects**2))
    return (middle - half if found else 0.0), (middle + half if found < objects else 1.0)
