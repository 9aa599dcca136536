"""Stratified sampling of a calibration set: each condition category gets an equal part.

A random sample of 128 frames from the field has few of a rare condition, and ranges measured on it clip exactly there.
Greedy submodular cover (Nemhauser, Wolsey and Fisher 1978): each step takes the frame whose categories are furthest
below their equal part, preferring scenes not sampled yet. Uses conditions and classes, not pixels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.captures import CaptureSet
from models.curation.strata import Stratum, strata
from models.errors import DataError

__all__ = ["draw_calibration"]

# Frames of one scene are alike: each further one counts this much less.
_SAME_SCENE = 0.5
_EXCESS = 0.2


def draw_calibration(captures: CaptureSet, count: int, seed: int = 1, name: str = "calibration") -> CaptureSet:
    """Draw ``count`` captures with equal numbers of each category of an axis, as far as the source has enough.

    Args:
        captures: the source.
        count: captures to draw.
        seed: breaks ties.
        name: of the new set.

    Returns:
        The captures in the source's order; deterministic in the arguments.

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
    """Return the target number of captures of each stratum, float64 [strata]: equal within an axis."""
    axes = [axis for axis, _ in names]
    equal = np.array([count / axes.count(axis) for axis in axes])
    return np.minimum(equal, member.sum(axis=0))


def _greedy(
    member: NDArray[np.bool_], scene: NDArray[np.intp], target: NDArray[np.float64], count: int
) -> NDArray[np.intp]:
    """Return the selected rows, [count]. Ties go to the first row."""
    weight = member.astype(np.float64)
    had = np.zeros(member.shape[1])
    drawn_from = np.zeros(int(scene.max()) + 1)
    free = np.ones(len(member), bool)
    rows = np.empty(count, np.intp)
    for step in range(count):
        lack = np.maximum(1.0 - had / target, 0.0)
        # A category above its target counts against a capture; otherwise common ones would fill the set.
        excess = np.maximum(had / target - 1.0, 0.0)
        gain = (weight @ lack) * _SAME_SCENE ** drawn_from[scene] - _EXCESS * (weight @ excess)
        rows[step] = np.argmax(np.where(free, gain, -np.inf))
        free[rows[step]] = False
        had += weight[rows[step]]
        drawn_from[scene[rows[step]]] += 1
    return rows
