"""Shares of blocks in the total loss by Shapley values, estimated by permutation sampling.

The loss of a set of blocks is the divergence with these blocks in INT8 and the others in float. A block's share is its
marginal loss, averaged over random orders (Castro, Gomez and Tejada, Computers and Operations Research 36, 2009); each
order is also used in reverse, which reduces the variance. The marginal losses telescope to the total in every order, so
shares sum to one exactly, whatever the interactions.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.errors import DataError
from models.progress import Count
from models.quant.plan import Precision
from models.sensitivity.groups import Group, is_attention
from models.sensitivity.intervals import Interval, scene_draws
from models.sensitivity.map import BlockShare, Shares
from models.sensitivity.race import measure
from models.sensitivity.study import Study
from models.sensitivity.tasks import Executor, Variant

__all__ = ["shapley_shares"]


def shapley_shares(
    study: Study,
    groups: Sequence[Group],
    pool: str,
    frames: Sequence[int],
    executor: Executor,
    *,
    pairs: int = 16,
    seed: int = 0,
    progress: Count | None = None,
) -> Shares:
    """Measure the shares.

    Args:
        study: graph and pools.
        groups: all groups of the graph.
        pool: the pool's name.
        frames: positions in it.
        executor: runs the pieces.
        pairs: number of orders, each used forwards and backwards.
        seed: of the orders.
        progress: progress callback.

    Raises:
        DataError: quantizing the whole network changes nothing on these frames.
    """
    blocks = list(dict.fromkeys(group.block for group in groups))
    random = np.random.default_rng(seed)
    orders = [order for _ in range(pairs) for order in _both_ways(random.permutation(len(blocks)).tolist())]
    needed = {frozenset(order[:end]) for order in orders for end in range(1, len(blocks) + 1)}
    variants = {members: _variant(groups, {blocks[i] for i in members}) for members in needed}
    measured = measure(study, pool, list(variants.values()), executor, frames=frames, progress=progress)
    rows = np.asarray(frames, np.int64)
    losses = {members: measured[variant].divergence[rows] for members, variant in variants.items()}
    losses[frozenset()] = np.zeros(len(rows))
    added = np.zeros((len(orders), len(blocks), len(rows)))
    for number, order in enumerate(orders):
        for end, block in enumerate(order):
            added[number, block] = losses[frozenset(order[: end + 1])] - losses[frozenset(order[:end])]
    if not losses[frozenset(range(len(blocks)))].any():
        raise DataError("quantizing the whole network changes nothing on these frames; check its ranges")
    return _shares(study, groups, pool, rows, blocks, added)


def _both_ways(order: list[int]) -> tuple[list[int], list[int]]:
    return order, order[::-1]


def _variant(groups: Sequence[Group], members: set[str]) -> Variant:
    return Variant.of(Precision.FP32, {g.name: Precision.INT8 for g in groups if g.block in members})


def _shares(
    study: Study,
    groups: Sequence[Group],
    pool: str,
    rows: NDArray[np.int64],
    blocks: Sequence[str],
    added: NDArray[np.float64],
) -> Shares:
    """Average; the intervals resample scenes and pairs of orders."""
    weights = scene_draws(study.pools[pool].scenes()[rows])
    pairs = added.reshape(-1, 2, len(blocks), len(rows)).mean(1)
    drawn = np.random.default_rng(1).integers(0, len(pairs), (len(weights), len(pairs)))
    resampled = np.stack([pairs[chosen].mean(0) @ weight for chosen, weight in zip(drawn, weights, strict=True)])
    resampled /= resampled.sum(1, keepdims=True)
    whole = pairs.mean(0).sum(1)
    whole /= whole.sum()
    parameters, macs = sum(g.parameters for g in groups) or 1, sum(g.macs for g in groups) or 1
    attention = np.array([is_attention(block) for block in blocks])
    return Shares(
        pool=pool,
        frames=len(rows),
        permutations=len(added),
        blocks=tuple(
            BlockShare(
                block,
                _interval(float(whole[i]), resampled[:, i]),
                sum(g.parameters for g in groups if g.block == block) / parameters,
                sum(g.macs for g in groups if g.block == block) / macs,
            )
            for i, block in enumerate(blocks)
        ),
        attention=_interval(float(whole[attention].sum()), resampled[:, attention].sum(1)),
    )


def _interval(value: float, resampled: NDArray[np.float64]) -> Interval:
    lower, upper = np.quantile(resampled, (0.05, 0.95))
    return Interval(value, float(lower), float(upper))
