"""What could not be read of a dataset, counted, with the first few names: never a silent skip, never a traceback."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

__all__ = ["Problem", "ProblemKind", "ReadReport", "ReportBuilder"]

_EXAMPLES = 5


class ProblemKind(Enum):
    """Kinds of findings; the value says what was found and what was done about it."""

    UNPAIRED = "frames without a partner in the other band (left out)"
    MISSING_IMAGE = "images that are listed but not there (left out)"
    BROKEN_IMAGE = "images that cannot be decoded (left out)"
    BROKEN_ANNOTATION = "annotation files or entries that cannot be understood (left out)"
    NO_ANNOTATION = "frames without an annotation file (kept, as empty)"
    NO_CONDITION = "frames that the names or the table give no condition (kept without)"
    SIZE_DIFFERS = "images whose size is not the annotated one (the image's own was taken)"
    BOX_CLIPPED = "boxes reaching out of the frame (clipped)"
    BOX_OUTSIDE = "boxes wholly outside of the frame or without area (left out)"
    UNKNOWN_CLASS = "boxes of a class that no map names (kept as ignore)"
    DUPLICATE_ID = "duplicate ids (the first was kept)"
    ORPHAN_BOX = "boxes of an image that is not listed (left out)"


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of finding.

    Attributes:
        kind: what it is.
        count: how often.
        examples: the first few, by name.
    """

    kind: ProblemKind
    count: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self.examples) else ""
        return f"{self.count} {self.kind.value}: {', '.join(self.examples)}{more}"


@dataclass(frozen=True, slots=True)
class ReadReport:
    """What reading a dataset gave.

    Attributes:
        layout: the layout it was read as.
        frames: frames in the set.
        boxes: objects in the set, ignored ones included.
        problems: what was found, by kind; empty when all is well.
        notes: what a user should know about this dataset.
    """

    layout: str
    frames: int
    boxes: int
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        found = [str(problem) for problem in self.problems] or ["nothing wrong was found"]
        return [f"read as {self.layout}: {self.frames} frames, {self.boxes} boxes", *self.notes, *found]

    def count(self, kind: ProblemKind) -> int:
        """Return how often ``kind`` was found."""
        return next((problem.count for problem in self.problems if problem.kind is kind), 0)


@dataclass
class ReportBuilder:
    """Collects findings while a dataset is read."""

    layout: str
    notes: list[str] = field(default_factory=list)
    _counts: dict[ProblemKind, int] = field(default_factory=dict)
    _examples: dict[ProblemKind, list[str]] = field(default_factory=dict)

    def add(self, kind: ProblemKind, name: str) -> None:
        """Count one finding."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        examples = self._examples.setdefault(kind, [])
        if len(examples) < _EXAMPLES and name not in examples:
            examples.append(name)

    def build(self, frames: int, boxes: int) -> ReadReport:
        """Return the finished report, kinds in the order of their declaration."""
        problems = tuple(
            Problem(kind, self._counts[kind], tuple(self._examples[kind]))
            for kind in ProblemKind
            if kind in self._counts
        )
        return ReadReport(self.layout, frames, boxes, problems, tuple(self.notes))
