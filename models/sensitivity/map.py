"""A sensitivity map: the loss of each group by pool and condition. A JSON file; measures nothing.

Round-trip law: ``SensitivityMap.load(p) == m`` after ``m.save(p)``, where no figure is NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.errors import DataError
from models.quant.plan import Precision
from models.records import RecordFile
from models.sensitivity.intervals import Interval

__all__ = ["BlockShare", "Figures", "GroupFigures", "Kind", "SensitivityMap", "Shares"]

Figures = Mapping[str, Mapping[str, Interval]]
"""By pool and condition category (``all`` or ``axis=category``)."""

Kind = str
"""Kind of figure; see `GroupFigures.figures`."""


@dataclass(frozen=True)
class GroupFigures:
    """One group.

    Attributes:
        name: of the group.
        block: its part of the network.
        layers: names of its operations for plans.
        macs: multiply-accumulates per frame.
        parameters: number of constants.
        measured: whether its figures were measured; otherwise ``int8`` and ``int16`` are scaled estimates of the
            screen.
        screen: the screen's estimate of its divergence in INT8, over all pools.
        figures: by kind: ``int8``, ``int16`` divergence with only this group quantized; ``restored`` reduction of the
            INT8 network's divergence with only this group in float; ``rise`` of the task loss with only this group in
            INT8; ``ap`` and ``ap_restored`` points of AP50 lost and regained in these two cases.
    """

    name: str
    block: str
    layers: tuple[str, ...]
    macs: int
    parameters: int
    measured: bool
    screen: float
    figures: Mapping[Kind, Figures]

    def of(self, kind: Kind, pool: str, category: str = "all") -> Interval | None:
        """Return one figure, None if it was not measured."""
        return self.figures.get(kind, {}).get(pool, {}).get(category)

    def divergence(self, precision: Precision, pool: str, category: str = "all") -> Interval:
        """Return its divergence in a precision; 0 in float."""
        if not precision.integer:
            return Interval(0.0, 0.0, 0.0)
        found = self.of(precision.value, pool, category)
        if found is None:
            raise DataError(f"the map has no figure for {self.name!r} in {precision.value} on {pool}, {category}")
        return found


@dataclass(frozen=True, slots=True)
class BlockShare:
    """One block.

    Attributes:
        block: its name.
        share: its share of the loss of the whole network in INT8.
        parameters: its share of the parameters.
        macs: its share of the multiply-accumulates.
    """

    block: str
    share: Interval
    parameters: float
    macs: float


@dataclass(frozen=True, slots=True)
class Shares:
    """All blocks.

    Attributes:
        pool: the pool they were measured on.
        frames: number of frames.
        permutations: number of orders averaged.
        blocks: in the network's order; shares sum to 1.
        attention: of all attention blocks together.
    """

    pool: str
    frames: int
    permutations: int
    blocks: tuple[BlockShare, ...]
    attention: Interval


@dataclass(frozen=True)
class SensitivityMap:
    """A map.

    Attributes:
        model: digest of the float graph.
        ranges: digest of the ranges.
        pools: digest of each pool, by name, in the order of measuring.
        frames: number of frames of each pool.
        groups: in execution order.
        whole: divergence with everything in INT8 and in INT16, by precision.
        rank_correlation: Spearman's, of screened and measured figures; None for fewer than three.
        shares: of blocks in the total loss; None if not requested.
        entropy: mean attention entropy by group, pool and category.
        settings: the settings of the sweep, for display.
    """

    model: str
    ranges: str
    pools: Mapping[str, str]
    frames: Mapping[str, int]
    groups: tuple[GroupFigures, ...]
    whole: Mapping[str, Figures]
    rank_correlation: float | None
    shares: Shares | None = None
    entropy: Mapping[str, Mapping[str, Mapping[str, float]]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def categories(self, pool: str) -> tuple[str, ...]:
        """Return the condition categories of a pool, ``all`` first."""
        return tuple(self.whole[Precision.INT8.value][pool])

    def worst(self, group: GroupFigures) -> float:
        """Return a group's largest INT8 divergence, the sort key of tables."""
        return max(v.value for by_category in group.figures["int8"].values() for v in by_category.values())

    def save(self, path: Path) -> None:
        """Write the map; ``load(path)`` gives an equal one."""
        FILE.save(self, path)

    @classmethod
    def load(cls, path: Path) -> SensitivityMap:
        """Read a map's file.

        Raises:
            DataError: it cannot be read or is not a map.
        """
        return FILE.load(path)


FILE = RecordFile(SensitivityMap, "a sensitivity map", 2, "measure again", DataError)
