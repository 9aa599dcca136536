"""What was read of a dataset and what was not, counted, with the first few names: nothing is skipped in silence."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

__all__ = ["FrameCounts", "Problem", "ProblemKind", "ReadReport", "ReportBuilder"]

_EXAMPLES = 5


class ProblemKind(Enum):
    """Kinds of findings; the value says what was found and what was done about it."""

    UNPAIRED = "frames without a partner in the other band (left out)"
    MISSING_IMAGE = "images that are listed but not there (left out)"
    ABSOLUTE_PATH = "images listed by an absolute path (left out; list them relative to their folder)"
    OUTSIDE_PATH = "images listed by a path that leaves their folder (left out)"
    BROKEN_IMAGE = "images that cannot be decoded (left out)"
    HUGE_IMAGE = "images that are, or claim to be, of more than 89 million pixels (left out)"
    UNREAD_FILE = "files beside the images that are of no image format read here (left out)"
    BROKEN_ANNOTATION = "annotation files or entries that cannot be understood (left out)"
    NO_ANNOTATION = "frames without an annotation (kept, as not labelled)"
    ORPHAN_ANNOTATION = "annotation files without an image (left out)"
    NO_CONDITION = "frames that the names or the table give no condition (kept without)"
    SIZE_DIFFERS = "images whose size is not the annotated one"
    BOX_CLIPPED = "boxes reaching out of the frame (clipped)"
    BOX_OUTSIDE = "boxes wholly outside of the frame or without area (left out)"
    NO_BOX_LEFT = "frames none of whose boxes can be used (kept, as not labelled)"
    UNKNOWN_CLASS = "boxes of a class that no map names (kept as ignore)"
    DUPLICATE_ID = "duplicates (the first was kept)"
    AMBIGUOUS = "names or ids that fit several frames (these frames are left out, or kept as not labelled)"
    ORPHAN_BOX = "boxes of an image that is not listed or not there (left out)"


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of finding.

    Attributes:
        kind: what it is.
        count: how often.
        examples: the first few, by name.
        more: there are other names.
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
    """Frames by what is known of them.

    Attributes:
        with_boxes: labelled, with an object or more.
        empty: labelled, and without an object.
        unlabelled: nobody has said what is in them.
    """

    with_boxes: int = 0
    empty: int = 0
    unlabelled: int = 0

    def __str__(self) -> str:
        return f"{self.with_boxes} with boxes, {self.empty} labelled as empty, {self.unlabelled} not labelled"


@dataclass(frozen=True, slots=True)
class ReadReport:
    """What reading a dataset gave.

    Attributes:
        layout: the layout it was read as.
        frames: frames in the set.
        boxes: objects in the set, ignored ones included.
        problems: what was found, by kind; empty when all is well.
        notes: what a user should know about this dataset.
        counts: the frames by what is known of them.
    """

    layout: str
    frames: int
    boxes: int
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    counts: FrameCounts = FrameCounts()

    def lines(self) -> list[str]:
        """Return the report as lines of text."""
        found = [str(problem) for problem in self.problems] or ["nothing wrong was found"]
        head = f"read as {self.layout}: {self.frames} frames, {self.boxes} boxes"
        return [head, f"frames: {self.counts}", *self.notes, *found]

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
        # A name is the dataset's text: one line, and no control character on a terminal.
        shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in name[:120])
        if len(examples) <= _EXAMPLES and shown not in examples:
            examples.append(shown)

    def note(self, text: str) -> None:
        """Add a note, once."""
        if text not in self.notes:
            self.notes.append(text)

    def build(self, counts: FrameCounts, boxes: int) -> ReadReport:
        """Return the finished report, kinds in the order of their declaration."""
        problems = tuple(
            Problem(kind, self._counts[kind], tuple(found[:_EXAMPLES]), len(found) > _EXAMPLES)
            for kind in ProblemKind
            if (found := self._examples.get(kind)) is not None
        )
        frames = counts.with_boxes + counts.empty + counts.unlabelled
        return ReadReport(self.layout, frames, boxes, problems, tuple(self.notes), counts)
