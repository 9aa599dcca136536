from __future__ import annotations

from pathlib import Path

import pytest

from models.curation import POOLS, Pool, check_disjoint, generate_pools, load_pools
from models.errors import DataError

_SIZES = {"train": 16, "calibration": 8, "validation": 8, "conditions": 4, "ood": 4, "hard-dev": 4, "hard-holdout": 8}


def test_pools_share_no_scene_and_come_back_from_disk(tmp_path: Path) -> None:
    made = generate_pools(3, _SIZES, tmp_path)
    assert {name: len(pool) for name, pool in made.items()} == _SIZES
    scenes = [c.scene for pool in made.values() for c in {c.scene: c for c in pool.captures}.values()]
    assert len(scenes) == len(set(scenes))
    loaded = load_pools(tmp_path)
    assert {name: pool.digest for name, pool in loaded.items()} == {name: pool.digest for name, pool in made.items()}


def test_progress_counts_over_all_pools() -> None:
    seen: list[tuple[int, int]] = []
    generate_pools(3, {**_SIZES, "train": 0}, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (36, 36)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


def test_a_scene_in_two_pools_is_refused() -> None:
    made = generate_pools(3, {**_SIZES, "train": 4, "calibration": 0, "validation": 0, "hard-dev": 0})
    with pytest.raises(DataError, match="split by scene"):
        check_disjoint({"a": made["train"], "b": made["train"]})


def test_an_unknown_pool_and_an_empty_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'trian'"):
        generate_pools(3, {"trian": 4})
    with pytest.raises(DataError, match="holds no pool"):
        load_pools(tmp_path)


def test_the_hard_pool_is_the_hardest() -> None:
    hardness = {spec.pool: spec.hardness for spec in POOLS}
    assert set(hardness) == set(Pool)
    assert hardness[Pool.HARD_HOLDOUT] == hardness[Pool.HARD_DEV] == max(hardness.values())
    assert hardness[Pool.VALIDATION] == hardness[Pool.TRAIN] < hardness[Pool.HARD_DEV]
