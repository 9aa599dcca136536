"""Stored pools: a folder with one capture set each, checked for shared scenes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

from models.captures import CaptureSet
from models.curation.splits import Pool
from models.errors import DataError

__all__ = ["check_disjoint", "load_pools", "shared_scenes"]


def load_pools(folder: Path, purpose: str = "") -> dict[str, CaptureSet]:
    """Load the stored pools in ``folder``.

    Args:
        folder: has one folder per pool.
        purpose: why; logged for the sealed pool.

    Raises:
        DataError: there is none, one is damaged, or two share a scene.
    """
    present = [pool for pool in Pool if (folder / pool / "captures.json").is_file()]
    found = {pool.value: CaptureSet.load(folder / pool, purpose) for pool in present}
    if not found:
        raise DataError(f"{folder} holds no pool; generate them first")
    check_disjoint(found)
    return found


def check_disjoint(pools: Mapping[str, CaptureSet]) -> None:
    """Check that no scene is in two pools.

    Raises:
        DataError: names the scene and both pools.
    """
    for (one, other), scenes in shared_scenes(pools).items():
        raise DataError(f"scene {scenes[0]} is in pools {one} and {other}; split by scene")


def shared_scenes(pools: Mapping[str, CaptureSet]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return the scenes shared by two pools, by the pools' names; {} if there are none."""
    scenes = {name: {capture.scene for capture in captures.captures} for name, captures in pools.items()}
    shared = {(a, b): tuple(sorted(scenes[a] & scenes[b])) for a, b in combinations(pools, 2)}
    return {names: found for names, found in shared.items() if found}
