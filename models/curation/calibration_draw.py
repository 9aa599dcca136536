"""Drawing a calibration set by condition: each category gets its part, not what chance leaves it.

A random draw of 128 frames from the field holds few of a rare condition, and ranges measured on it clip exactly there.
Greedy covering (Nemhauser, Wolsey and Fisher 1978): each step takes the frame whose categories lack most of their equal
part, preferring scenes not drawn from yet. Knows conditions and classes, no pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.captures import CaptureSet
from models.curation.strata import Stratum, strata
from models.errors import DataError

__all__ = ["draw_calibration"]

# Frames of one scene share most of what they show: each further one counts this much less.
_SAME_SCENE = 0.5
_EXCESS = 0.2


def draw_calibration(captures: CaptureSet, count: int, seed: int = 1, name: str = "calibration") -> CaptureSet:
    """Draw ``count`` captures so that the categories of each axis have equal parts, as far as there are enough.

    Args:
        captures: the source.
        count: captures to draw.
        seed: breaks ties.
        name: of the new set.

    Returns:
        The drawn captures in the source's order; equal arguments draw the same ones.

    Raises:
        DataError: the source has fewer captures, or ``count`` is not enough for one of each category.
    """
    if not 0 < count <= len(captures):
        raise DataError(f"cannot draw {count} captures from the {len(captures)} of {captures.name!r}")
    names, member = strata(captures.captures, captures.classes)
    scene = np.unique([capture.scene for capture in captures.captures], return_inverse=True)[1]
    order = np.random.default_rng(seed).permutation(len(captures))
    chosen = sorted(order[_greedy(member[order], scene[order], _targets(names, member, count), count)].tolist())
    missed = [
        f"{axis} {category}" for (axis, category), n in zip(names, member[chosen].sum(axis=0), strict=True) if not n
    ]
    if missed:
        raise DataError(f"{count} captures cannot cover {', '.join(missed[:3])} as well; draw more")
    return captures.subset(chosen, name)


def _targets(names: tuple[Stratum, ...], member: NDArray[np.bool_], count: int) -> NDArray[np.float64]:
    """Return how many captures each stratum should get, float64 [strata]: equal parts within an axis."""
    axes = [axis for axis, _ in names]
    equal = np.array([count / axes.count(axis) for axis in axes])
    return np.minimum(equal, member.sum(axis=0))


def _greedy(
    member: NDArray[np.bool_], scene: NDArray[np.intp], target: NDArray[np.float64], count: int
) -> NDArray[np.intp]:
    """Return the rows to take, [count]. Ties go to the first row."""
    weight = member.astype(np.float64)
    had = np.zeros(member.shape[1])
    drawn_from = np.zeros(int(scene.max()) + 1)
    free = np.ones(len(member), bool)
    rows = np.empty(count, np.intp)
    for step in range(count):
        lack = np.maximum(1.0 - had / target, 0.0)
        # Beyond its part a category counts against a capture, or common ones would fill the set.
        excess = np.maximum(had / target - 1.0, 0.0)
        gain = (weight @ lack) * _SAME_SCENE ** drawn_from[scene] - _EXCESS * (weight @ excess)
        rows[step] = np.argmax(np.where(free, gain, -np.inf))
        free[rows[step]] = False
        had += weight[rows[step]]
        drawn_from[scene[rows[step]]] += 1
    return rows
