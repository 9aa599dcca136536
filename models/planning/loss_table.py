"""Predicted loss of a choice of precisions in each condition: sums of a map's figures, plus pair terms.

Single figures do not add up exactly; for the most sensitive groups, the interaction of two (the joint loss minus the
sum of the single ones) is measured and added. Upper bounds of the intervals make predictions cautious.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from models.progress import Count
from models.quant.plan import Precision
from models.sensitivity.map import SensitivityMap
from models.sensitivity.race import BATCH, measure
from models.sensitivity.study import Study
from models.sensitivity.tasks import Executor, Variant

__all__ = ["LossTable", "PairTerm", "measure_pairs"]

_INT8, _FP32 = Precision.INT8, Precision.FP32
Column = tuple[str, str]
"""A pool and a condition category."""


@dataclass(frozen=True, slots=True)
class PairTerm:
    """Interaction of two groups in INT8: joint loss minus the sum of the single losses, by pool and category."""

    first: str
    second: str
    terms: Mapping[Column, float]


@dataclass(frozen=True)
class LossTable:
    """Predicted loss.

    Attributes:
        groups: names, in the graph's order.
        columns: the conditions; a plan minimises the worst of them.
        values: by column, for each group its divergence by precision.
        uppers: the same, upper bounds of the intervals.
        pairs: measured pair terms.
    """

    groups: tuple[str, ...]
    columns: tuple[Column, ...]
    values: Mapping[Column, Sequence[Mapping[Precision, float]]]
    uppers: Mapping[Column, Sequence[Mapping[Precision, float]]]
    pairs: tuple[PairTerm, ...] = ()

    @classmethod
    def of(cls, found: SensitivityMap, pairs: Sequence[PairTerm] = ()) -> LossTable:
        """Read a map's figures in every condition of every pool.

        Raises:
            DataError: a figure is missing from the map.
        """
        columns = tuple((pool, category) for pool in found.pools for category in found.categories(pool))
        choices = (_INT8, Precision.INT16, _FP32)
        figures = {
            (pool, c): [{p: g.divergence(p, pool, c) for p in choices} for g in found.groups] for pool, c in columns
        }
        return cls(
            groups=tuple(g.name for g in found.groups),
            columns=columns,
            values={c: [{p: v.value for p, v in row.items()} for row in rows] for c, rows in figures.items()},
            uppers={c: [{p: v.upper for p, v in row.items()} for row in rows] for c, rows in figures.items()},
            pairs=tuple(pairs),
        )

    def predicted(self, chosen: Sequence[Precision], *, upper: bool) -> dict[Column, float]:
        """Return the predicted divergence in each condition with group i in ``chosen[i]``."""
        table = self.uppers if upper else self.values
        position = {name: i for i, name in enumerate(self.groups)}
        found = {c: sum(row[p] for row, p in zip(table[c], chosen, strict=True)) for c in self.columns}
        for pair in self.pairs:
            if chosen[position[pair.first]] is _INT8 and chosen[position[pair.second]] is _INT8:
                for column in self.columns:
                    found[column] += pair.terms[column]
        return found

    def worst(self, chosen: Sequence[Precision], *, upper: bool = True) -> float:
        """Return the predicted divergence in the condition where it is largest."""
        return max(self.predicted(chosen, upper=upper).values())


def measure_pairs(
    study: Study,
    found: SensitivityMap,
    executor: Executor,
    *,
    count: int = 10,
    batch: int = BATCH,
    progress: Count | None = None,
) -> tuple[PairTerm, ...]:
    """Measure the pair terms of the ``count`` pairs among the most sensitive measured groups."""
    measured = sorted((g for g in found.groups if g.measured), key=lambda g: -found.worst(g))
    pairs = sorted(combinations(range(len(measured)), 2), key=sum)[:count]
    names = [(measured[a].name, measured[b].name) for a, b in pairs]
    both = {pair: Variant.of(_FP32, dict.fromkeys(pair, _INT8)) for pair in names}
    alone = {name: Variant.of(_FP32, {name: _INT8}) for pair in names for name in pair}
    terms: dict[tuple[str, str], dict[Column, float]] = {pair: {} for pair in names}
    for pool_name, pool in study.pools.items():
        variants = [*both.values(), *alone.values()]
        held = measure(study, pool_name, variants, executor, batch=batch, progress=progress)
        for pair in names:
            first, second = (held[alone[name]].divergence for name in pair)
            extra = held[both[pair]].divergence - first - second
            for category, mask in pool.categories().items():
                terms[pair][pool_name, category] = float(extra[mask].mean())
    return tuple(PairTerm(*pair, by_column) for pair, by_column in terms.items())
