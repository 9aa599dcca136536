"""Pools: what each set of captures may be used for, kept apart by scene; the holdout is sealed."""

from models.pools.generated import POOLS, PoolSpec, generate_pools
from models.pools.purpose import Pool
from models.pools.similar import NearDuplicate, near_duplicates
from models.pools.stored import check_disjoint, load_pools, shared_scenes

__all__ = [
    "POOLS", "NearDuplicate", "Pool", "PoolSpec", "check_disjoint", "generate_pools", "load_pools", "near_duplicates",
    "shared_scenes",
]  # fmt: skip
