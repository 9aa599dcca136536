"""The report of reading a dataset: everything that was skipped or changed, counted, with examples."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

__all__ = ["FrameCounts", "Problem", "ProblemKind", "ReadReport", "ReportBuilder"]

_EXAMPLES = 5


class ProblemKind(Enum):
    """Kinds of findings; the value states the finding and its handling."""

    UNPAIRED = "frames without a partner in the other band (left out)"
    MISSING_IMAGE = "images that are listed but missing (left out)"
    ABSOLUTE_PATH = "images listed by an absolute path (left out; list them relative to their folder)"
    OUTSIDE_PATH = "images listed by a path that leaves their folder (left out)"
    BROKEN_IMAGE = "images that cannot be decoded (left out)"
    HUGE_IMAGE = "images with, or claiming, more than 89 million pixels (left out)"
    UNREAD_FILE = "files beside the images in an unsupported format (left out)"
    BROKEN_ANNOTATION = "annotation files or entries that cannot be parsed (left out)"
    NO_ANNOTATION = "frames without an annotation (used as unlabelled)"
    ORPHAN_ANNOTATION = "annotation files without an image (left out)"
    NO_CONDITION = "frames without a condition in names or table (used without)"
    SIZE_DIFFERS = "images whose size differs from the annotated one"
    BOX_CLIPPED = "boxes partly outside the frame (clipped)"
    BOX_OUTSIDE = "boxes outside the frame or without area (left out)"
    NO_BOX_LEFT = "frames without a usable box (used as unlabelled)"
    UNKNOWN_CLASS = "boxes of an unmapped class (used as ignore)"
    DUPLICATE_ID = "duplicates (the first was used)"
    AMBIGUOUS = "names or ids that match several frames (these are left out, or used as unlabelled)"
    ORPHAN_BOX = "boxes of an image that is not listed or missing (left out)"


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of finding.

    Attributes:
        kind: the kind.
        count: number of occurrences.
        examples: names of the first few.
        more: whether there are more names.
    """

    kind: ProblemKind
    count: int
    examples: tuple[str, ...]
    more: bool = False

    def __str__(self) -> str:
        more = ", ..." if self.more else ""
        return f"{self.count} {self.kind.value}: {', '.join(self.examples)}{more}"


@dataclass(frozen=True, slots=True)
class FrameCounts:
    """Numbers of frames by their labels.

    Attributes:
        with_boxes: labelled, with objects.
        empty: labelled, without objects.
        unlabelled: without annotations.
    """

    with_boxes: int = 0
    empty: int = 0
    unlabelled: int = 0

    def __str__(self) -> str:
        return f"{self.with_boxes} with boxes, {self.empty} labelled as empty, {self.unlabelled} unlabelled"


@dataclass(frozen=True, slots=True)
class ReadReport:
    """Result of reading a dataset.

    Attributes:
        layout: the detected layout.
        frames: frames in the set.
        boxes: objects in the set, ignored ones included.
        problems: findings by kind.
        notes: remarks about this dataset.
        counts: numbers of frames by their labels.
    """

    layout: str
    frames: int
    boxes: int
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    counts: FrameCounts = FrameCounts()

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        found = [str(problem) for problem in self.problems] or ["no problems found"]
        head = f"read as {self.layout}: {self.frames} frames, {self.boxes} boxes"
        return [head, f"frames: {self.counts}", *self.notes, *found]

    def count(self, kind: ProblemKind) -> int:
        """Return the number of findings of a kind."""
        return next((problem.count for problem in self.problems if problem.kind is kind), 0)


@dataclass
class ReportBuilder:
    """Collects findings during reading."""

    layout: str
    notes: list[str] = field(default_factory=list)
    _counts: dict[ProblemKind, int] = field(default_factory=dict)
    _examples: dict[ProblemKind, list[str]] = field(default_factory=dict)

    def add(self, kind: ProblemKind, name: str) -> None:
        """Count one finding."""
        self._counts[kind] = self._counts.get(kind, 0) + 1
        examples = self._examples.setdefault(kind, [])
        # Names come from the dataset: one line, without control characters.
        shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name[:120])
        if len(examples) <= _EXAMPLES and shown not in examples:
            examples.append(shown)

    def note(self, text: str) -> None:
        """Add a note unless it is already there."""
        if text not in self.notes:
            self.notes.append(text)

    def build(self, counts: FrameCounts, boxes: int) -> ReadReport:
        """Return the report, with kinds in the order of declaration."""
        problems = tuple(
            Problem(kind, self._counts[kind], tuple(found[:_EXAMPLES]), len(found) > _EXAMPLES)
            for kind in ProblemKind
            if (found := self._examples.get(kind)) is not None
        )
        frames = counts.with_boxes + counts.empty + counts.unlabelled
        return ReadReport(self.layout, frames, boxes, problems, tuple(self.notes), counts)
