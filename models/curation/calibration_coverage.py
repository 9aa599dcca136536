"""Coverage of the evaluation conditions by a calibration set."""

from __future__ import annotations

from dataclasses import dataclass

from models.captures import CaptureSet
from models.curation.strata import strata

__all__ = ["MIN_FRAMES", "CategoryCoverage", "Coverage", "coverage"]

MIN_FRAMES = 8
"""With fewer frames of a category its extremes depend on single frames: the largest of n draws exceeds the 90 %
quantile with probability 1 - 0.9^n, 57 % for 8."""


@dataclass(frozen=True, slots=True)
class CategoryCoverage:
    """One category.

    Attributes:
        axis: e.g. ``thermal``, or ``object`` for the classes in the frames.
        category: e.g. ``crossover``.
        calibration: captures of it in the calibration set.
        evaluation: captures of it in the evaluation set; 0 without one.
    """

    axis: str
    category: str
    calibration: int
    evaluation: int

    @property
    def missing(self) -> bool:
        """Whether the calibration set has no capture of the category and the evaluation set has."""
        return self.calibration == 0

    @property
    def thin(self) -> bool:
        """Whether there are too few captures for reliable extremes."""
        return self.calibration < MIN_FRAMES


@dataclass(frozen=True, slots=True)
class Coverage:
    """All categories of either set, by axis.

    Attributes:
        frames: captures in the calibration set.
        scenes: its scenes.
        shared_scenes: scenes in both sets; there should be none.
        categories: one for each.
    """

    frames: int
    scenes: int
    shared_scenes: tuple[str, ...]
    categories: tuple[CategoryCoverage, ...]

    @property
    def missing(self) -> tuple[CategoryCoverage, ...]:
        """Categories of the evaluation set that are missing from the calibration set."""
        return tuple(item for item in self.categories if item.missing)

    @property
    def thin(self) -> tuple[CategoryCoverage, ...]:
        """Categories with some captures, but too few."""
        return tuple(item for item in self.categories if item.thin and not item.missing)


def coverage(calibration: CaptureSet, evaluation: CaptureSet | None = None) -> Coverage:
    """Count captures by category in both sets."""
    counts: list[dict[tuple[str, str], int]] = []
    for captures in (calibration, evaluation):
        names, member = strata((), ()) if captures is None else strata(captures.captures, captures.classes)
        counts.append(dict(zip(names, member.sum(axis=0).tolist(), strict=True)))
    mine = {c.scene for c in calibration.captures}
    theirs = set() if evaluation is None else {c.scene for c in evaluation.captures}
    return Coverage(
        len(calibration), len(mine), tuple(sorted(mine & theirs)),
        tuple(
            CategoryCoverage(*name, counts[0].get(name, 0), counts[1].get(name, 0))
            for name in sorted(counts[0].keys() | counts[1].keys())
        ),
    )  # fmt: skip
