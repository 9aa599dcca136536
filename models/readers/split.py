"""Splitting a set by scene."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from models.captures import CaptureSet
from models.errors import DataError

__all__ = ["split_by_scene"]


def split_by_scene(captures: CaptureSet, shares: Mapping[str, float], seed: int = 0) -> dict[str, CaptureSet]:
    """Split a set into named parts with about the given fractions of its frames; no scene is in two parts.

    Scenes are assigned in a random order by ``seed``, each to the part furthest below its target.

    Raises:
        DataError: a fraction is not positive, or there are fewer scenes than parts.
    """
    total = sum(shares.values())
    if not shares or total <= 0 or min(shares.values()) <= 0:
        raise DataError(f"cannot split {captures.name!r}: give each part a fraction over 0")
    scenes: dict[str, list[int]] = {}
    for index, capture in enumerate(captures.captures):
        scenes.setdefault(capture.scene, []).append(index)
    if len(scenes) < len(shares):
        raise DataError(f"cannot split {captures.name!r}: {len(scenes)} scenes are not enough for {len(shares)} parts")
    lacking = {name: share / total * len(captures) for name, share in shares.items()}
    parts: dict[str, list[int]] = {name: [] for name in shares}
    names = list(scenes)
    for position in np.random.default_rng(seed).permutation(len(names)):
        empty = [name for name in parts if not parts[name]]
        remaining = len(names) - sum(bool(parts[name]) for name in parts)
        target = max(lacking, key=lambda name: lacking[name])
        if empty and remaining <= len(empty):
            target = empty[0]
        parts[target] += scenes[names[int(position)]]
        lacking[target] -= len(scenes[names[int(position)]])
    return {name: captures.subset(sorted(indices), f"{captures.name}-{name}") for name, indices in parts.items()}
