"""Pools of generated captures, with their size and hardness.

`models.scenes` renders the scenes; `models.curation.splits` defines the pools.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from models.captures import CaptureSet
from models.curation.splits import SEALED, Pool
from models.curation.stored_splits import check_disjoint
from models.errors import DataError
from models.progress import Count, shifted
from models.scenes import SceneSpec, generate
from models.seal import seal

__all__ = ["POOLS", "PoolSpec", "generate_pools"]


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """One pool.

    Attributes:
        pool: which pool; its value is the folder's name.
        count: frame pairs.
        hardness: 0 is typical, 1 is hard; see `models.scenes.SceneSpec`.
        ood: out of distribution, likewise.
    """

    pool: Pool
    count: int
    hardness: float
    ood: bool = False


POOLS = (
    # Training has some hard frames, like any collected set; the hardest are reserved for the hard pools.
    PoolSpec(Pool.TRAIN, 1600, 0.2),
    PoolSpec(Pool.CALIBRATION, 128, 0.2),
    PoolSpec(Pool.VALIDATION, 300, 0.2),
    # At least 20 scenes, of four frames, in each category: a bootstrap over fewer scenes is too narrow.
    PoolSpec(Pool.CONDITIONS, 400, 0.2),
    PoolSpec(Pool.OOD, 800, 0.2, ood=True),
    PoolSpec(Pool.HARD_DEV, 200, 1.0),
    PoolSpec(Pool.HARD_HOLDOUT, 200, 1.0),
)
"""The pools of the demo, sized for minutes of training on two cores."""


def generate_pools(
    seed: int,
    sizes: Mapping[str, int] | None = None,
    folder: Path | None = None,
    progress: Count | None = None,
    *,
    width: int = 160,
    height: int = 128,
    workers: int | None = None,
) -> dict[str, CaptureSet]:
    """Generate every pool of `POOLS`; write each to ``folder/<name>`` when a folder is given, the holdout sealed.

    Args:
        seed: determines everything.
        sizes: frame pairs by pool where they differ from the default; 0 omits a pool.
        folder: where to store the pools, or None to keep them in memory.
        progress: called with (pairs done, pairs in all).
        width: pixels.
        height: pixels.
        workers: processes; None takes one for each core.

    Raises:
        DataError: ``sizes`` names an unknown pool.
    """
    counts = {spec.pool.value: spec.count for spec in POOLS} | dict(sizes or {})
    unknown = sorted(set(counts) - {spec.pool.value for spec in POOLS})
    if unknown:
        raise DataError(f"there is no pool {unknown[0]!r}; name one of {', '.join(Pool)}")
    total, before = sum(counts.values()), 0
    made: dict[str, CaptureSet] = {}
    for item in POOLS:
        name = item.pool.value
        if not counts[name]:
            continue
        spec = SceneSpec(seed, counts[name], width, height, item.hardness, name, item.ood)
        made[name] = generate(spec, shifted(progress, before, total), workers=workers)
        before += counts[name]
        if folder is not None:
            _store(made[name], folder / name, item.pool)
    check_disjoint(made)
    return made


def _store(captures: CaptureSet, folder: Path, pool: Pool) -> None:
    captures.save(folder)
    if pool in SEALED:
        seal(folder, captures.digest, "generated")
