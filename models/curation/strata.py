"""Strata of a capture set: the categories of each condition axis, and the object classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.captures import CLASSES, Capture

__all__ = ["CLASS_AXIS", "Stratum", "strata", "strata_of"]

CLASS_AXIS = "object"
"""The axis whose categories are the object classes in a frame."""

Stratum = tuple[str, str]
"""An axis and one of its categories."""


def strata_of(capture: Capture, classes: Sequence[str] = CLASSES) -> frozenset[Stratum]:
    """Return the strata of a capture: its conditions, and the classes of its objects that are not ignored."""
    seen = {(CLASS_AXIS, classes[item.object_class]) for item in capture.objects if not item.ignore}
    return frozenset(seen | set(capture.conditions.items))


def strata(
    captures: Sequence[Capture], classes: Sequence[str] = CLASSES
) -> tuple[tuple[Stratum, ...], NDArray[np.bool_]]:
    """Return all strata, sorted, and the membership of captures, bool [captures, strata]."""
    each = [strata_of(capture, classes) for capture in captures]
    names = tuple(sorted(frozenset().union(*each)))
    column = {name: k for k, name in enumerate(names)}
    member = np.zeros((len(captures), len(names)), bool)
    for row, found in enumerate(each):
        member[row, [column[name] for name in found]] = True
    return names, member
