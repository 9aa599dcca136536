"""Pools: the sets that a network is trained, calibrated, validated and challenged on, disjoint by scene.

It owns which pools there are and how hard each one is; what a scene looks like belongs to `models.scenes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from models.captures import CaptureSet
from models.errors import DataError
from models.scenes import SceneSpec, generate

__all__ = ["POOLS", "PoolSpec", "check_disjoint", "generate_pools", "load_pools"]


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """One pool.

    Attributes:
        name: the pool's name and its folder's.
        count: frame pairs.
        hardness: 0 is typical, 1 is hard; see `models.scenes.SceneSpec`.
    """

    name: str
    count: int
    hardness: float


POOLS = (
    # Some hard frames in training, as any collected set has; the rest of the range is left to the hard pool.
    PoolSpec("train", 1600, 0.2),
    PoolSpec("calibration", 128, 0.2),
    PoolSpec("validation", 300, 0.2),
    PoolSpec("hard", 200, 1.0),
)
"""The pools of the demo, sized for training within minutes on two cores."""


def generate_pools(
    seed: int,
    sizes: Mapping[str, int] | None = None,
    folder: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    width: int = 160,
    height: int = 128,
    workers: int | None = None,
) -> dict[str, CaptureSet]:
    """Generate every pool of `POOLS`; write each to ``folder/<name>`` when a folder is given.

    Args:
        seed: everything follows from it.
        sizes: frame pairs by pool where they differ from the default; 0 leaves a pool out.
        folder: where to store the pools, or None to keep them in memory.
        progress: called with (pairs done, pairs in all).
        width: pixels.
        height: pixels.
        workers: processes; None takes one for each core.

    Raises:
        DataError: ``sizes`` names a pool that there is none of.
    """
    counts = {pool.name: pool.count for pool in POOLS} | dict(sizes or {})
    unknown = sorted(set(counts) - {pool.name for pool in POOLS})
    if unknown:
        raise DataError(f"there is no pool {unknown[0]!r}; name one of {', '.join(p.name for p in POOLS)}")
    total, before = sum(counts.values()), 0
    made: dict[str, CaptureSet] = {}
    for pool in POOLS:
        if not counts[pool.name]:
            continue
        spec = SceneSpec(seed, counts[pool.name], width, height, pool.hardness, pool.name)
        made[pool.name] = generate(spec, _shifted(progress, before, total), workers=workers)
        before += counts[pool.name]
        if folder is not None:
            made[pool.name].save(folder / pool.name)
    check_disjoint(made)
    return made


def load_pools(folder: Path) -> dict[str, CaptureSet]:
    """Load the stored pools in ``folder``.

    Raises:
        DataError: none is there, one is damaged, or two share a scene.
    """
    found = {p.name: CaptureSet.load(folder / p.name) for p in POOLS if (folder / p.name / "captures.json").is_file()}
    if not found:
        raise DataError(f"{folder} holds no pool; generate them first")
    check_disjoint(found)
    return found


def check_disjoint(pools: Mapping[str, CaptureSet]) -> None:
    """Check that no scene is in two pools.

    Raises:
        DataError: names the scene and both pools.
    """
    owner: dict[str, str] = {}
    for name, captures in pools.items():
        for capture in captures.captures:
            if owner.setdefault(capture.scene, name) != name:
                raise DataError(f"scene {capture.scene} is in pools {owner[capture.scene]} and {name}; split by scene")


def _shifted(progress: Callable[[int, int], None] | None, before: int, total: int) -> Callable[[int, int], None] | None:
    if progress is None:
        return None
    return lambda done, _: progress(before + done, total)
