"""A sensitivity map: what each group costs in each pool and condition. A JSON file; measures nothing.

Round-trip law: ``SensitivityMap.from_json(m.to_json()).to_json() == m.to_json()``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.errors import DataError
from models.quant.plan import Precision
from models.sensitivity.intervals import Interval

__all__ = ["BlockShare", "Figures", "GroupFigures", "Kind", "SensitivityMap", "Shares"]

_SCHEMA = 1

Figures = Mapping[str, Mapping[str, Interval]]
"""By pool and condition category (``all`` or ``axis=category``)."""

Kind = str
"""What a figure is of: see `GroupFigures.figures`."""


@dataclass(frozen=True)
class GroupFigures:
    """One group.

    Attributes:
        name: of the group.
        block: the part of the network that it belongs to.
        layers: names by which a plan calls its operations.
        macs: multiply-accumulates a frame.
        parameters: constants that it reads.
        measured: whether its figures were measured; otherwise ``int8`` and ``int16`` are the screen's, scaled.
        screen: the screen's own estimate of its divergence in INT8, over all pools.
        figures: by kind: ``int8``, ``int16`` divergence with it alone quantized; ``restored`` divergence that the INT8
            network loses when it alone goes back to float; ``rise`` of the task loss with it alone in INT8; ``ap``
            and ``ap_restored`` points of AP50 that are lost by the one and won back by the other.
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
        """Return one figure, None where it was not measured."""
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
        share: of the loss of the whole network in INT8.
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
        pool: what they were measured on.
        frames: how many frames.
        permutations: orders that were averaged.
        blocks: in the network's order; shares add up to 1.
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
        rank_correlation: Spearman's, of the screen and what was measured; None where fewer than three were.
        shares: of blocks in the whole loss; None if they were not asked for.
        entropy: mean attention entropy by group, pool and category.
        settings: how it was made, for people.
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
        """Return a group's INT8 divergence where it is largest: what a table is sorted by."""
        return max(v.value for by_category in group.figures["int8"].values() for v in by_category.values())

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "schema": _SCHEMA,
            "model": self.model,
            "ranges": self.ranges,
            "pools": dict(self.pools),
            "frames": dict(self.frames),
            "settings": dict(self.settings),
            "rank_correlation": self.rank_correlation,
            "whole": {kind: _figures_json(f) for kind, f in self.whole.items()},
            "shares": None if self.shares is None else _shares_json(self.shares),
            "entropy": {g: {p: dict(c) for p, c in by_pool.items()} for g, by_pool in self.entropy.items()},
            "groups": [
                {
                    "name": g.name, "block": g.block, "layers": list(g.layers), "macs": g.macs,
                    "parameters": g.parameters, "measured": g.measured, "screen": g.screen,
                    "figures": {kind: _figures_json(f) for kind, f in g.figures.items()},
                }
                for g in self.groups
            ],
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: Any) -> SensitivityMap:
        """Read a map from JSON values.

        Raises:
            DataError: it is none.
        """
        try:
            if data["schema"] != _SCHEMA:
                raise DataError(f"sensitivity map: schema {data['schema']!r} is not {_SCHEMA}; measure again")
            return cls(
                model=str(data["model"]),
                ranges=str(data["ranges"]),
                pools=dict(data["pools"]),
                frames=dict(data["frames"]),
                groups=tuple(_group(item) for item in data["groups"]),
                whole={kind: _figures(f) for kind, f in data["whole"].items()},
                rank_correlation=data["rank_correlation"],
                shares=None if data["shares"] is None else _shares(data["shares"]),
                entropy=data["entropy"],
                settings=data["settings"],
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"sensitivity map: a field is missing or wrong: {error!r}") from error

    def save(self, path: Path) -> None:
        """Write the map; ``load(path)`` gives an equal one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        temporary.write_text(json.dumps(self.to_json(), indent=1) + "\n")
        temporary.replace(path)

    @classmethod
    def load(cls, path: Path) -> SensitivityMap:
        """Read a map's file.

        Raises:
            DataError: it cannot be read, or is none.
        """
        try:
            return cls.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise DataError(f"{path} is not a sensitivity map: {error}") from error


def _figures_json(figures: Figures) -> dict[str, dict[str, list[float]]]:
    return {pool: {name: v.to_json() for name, v in by.items()} for pool, by in figures.items()}


def _figures(data: Any) -> Figures:
    return {pool: {name: Interval.from_json(v) for name, v in by.items()} for pool, by in data.items()}


def _group(item: Any) -> GroupFigures:
    figures = {kind: _figures(f) for kind, f in item["figures"].items()}
    return GroupFigures(
        str(item["name"]), str(item["block"]), tuple(item["layers"]), int(item["macs"]), int(item["parameters"]),
        bool(item["measured"]), float(item["screen"]), figures,
    )  # fmt: skip


def _shares_json(shares: Shares) -> dict[str, Any]:
    blocks = [
        {"block": b.block, "share": b.share.to_json(), "parameters": b.parameters, "macs": b.macs}
        for b in shares.blocks
    ]
    return {
        "pool": shares.pool, "frames": shares.frames, "permutations": shares.permutations,
        "attention": shares.attention.to_json(), "blocks": blocks,
    }  # fmt: skip


def _shares(data: Any) -> Shares:
    blocks = tuple(
        BlockShare(str(b["block"]), Interval.from_json(b["share"]), float(b["parameters"]), float(b["macs"]))
        for b in data["blocks"]
    )
    attention = Interval.from_json(data["attention"])
    return Shares(str(data["pool"]), int(data["frames"]), int(data["permutations"]), blocks, attention)
