"""Modelled cost of each group in each precision on a board, and of each boundary between groups.

The cost of a mixed graph is the exact sum of these parts: an operation reads its inputs in its own type (with a
conversion in between if they were written in another), so its cost depends only on its own type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from firmware_bridge.device.cost import GraphCost, cost
from firmware_bridge.device.graph import Graph, GraphOp
from firmware_bridge.device.profile import BoardProfile
from firmware_bridge.device.runtime import op_table
from models.quant import quantizer
from models.quant.plan import Precision
from models.quant.retype import retyped
from models.sensitivity.groups import Group, groups_of

__all__ = ["CHOICES", "Boundary", "CostTable", "Price"]

CHOICES = (Precision.INT8, Precision.INT16, Precision.FP32)
"""The precisions available to the planner."""


@dataclass(frozen=True, slots=True)
class Price:
    """Modelled cost of part of an inference."""

    latency_ms: float
    energy_mj: float


@dataclass(frozen=True, slots=True)
class Boundary:
    """A tensor between groups.

    Attributes:
        source: position of the group that writes it, -1 for an input.
        readers: positions of the groups that read it.
        prices: cost of converting it, by (written in, read in).
    """

    source: int
    readers: tuple[int, ...]
    prices: Mapping[tuple[Precision, Precision], Price]


@dataclass(frozen=True)
class CostTable:
    """The cost of a graph in parts.

    Attributes:
        graph: the float graph.
        profile: the board.
        groups: the graph's groups.
        legal: for each group the precisions that board and runtime support.
        prices: for each group its price by precision.
        boundaries: every tensor between groups.
    """

    graph: Graph
    profile: BoardProfile
    groups: tuple[Group, ...]
    legal: tuple[tuple[Precision, ...], ...]
    prices: tuple[Mapping[Precision, Price], ...]
    boundaries: tuple[Boundary, ...]

    @classmethod
    def of(
        cls, graph: Graph, profile: BoardProfile, runtime: str = "litert", *, allow_float: bool = False
    ) -> CostTable:
        """Price every group and boundary of a float graph.

        Args:
            graph: the float graph.
            profile: the board.
            runtime: what it runs.
            allow_float: whether a group may stay float although an integer type is legal for it.
        """
        groups = groups_of(graph)
        uniform = {p: _by_output(cost(retyped(graph, _all(graph, p)), profile)) for p in CHOICES}
        prices = tuple({p: _sum(uniform[p], group, graph) for p in CHOICES} for group in groups)
        runs = frozenset(op_table(runtime))
        legal = tuple(_choices(group, graph, profile, runs, allow_float=allow_float) for group in groups)
        return cls(graph, profile, groups, legal, prices, tuple(_boundaries(graph, groups, profile)))

    def of_plan(self, chosen: Sequence[Precision]) -> GraphCost:
        """Return the total cost with group i in ``chosen[i]``."""
        return cost(retyped(self.graph, self.dtypes(chosen)), self.profile)

    def dtypes(self, chosen: Sequence[Precision]) -> dict[int, str]:
        """Return the type of each operation with group i in ``chosen[i]``."""
        pairs = zip(self.groups, chosen, strict=True)
        return {index: precision.op_dtype for group, precision in pairs for index in group.ops}


def _all(graph: Graph, precision: Precision) -> dict[int, str]:
    return {op.index: precision.op_dtype for op in graph.ops}


def _by_output(found: GraphCost) -> dict[int, Price]:
    """Return each operation's price by its output tensor, whose index retyping preserves."""
    return {item.op.outputs[0]: Price(item.latency_us / 1e3, item.energy_uj / 1e3) for item in found.ops}


def _sum(prices: Mapping[int, Price], group: Group, graph: Graph) -> Price:
    parts = [prices[graph.ops[index].outputs[0]] for index in group.ops]
    return Price(sum(p.latency_ms for p in parts), sum(p.energy_mj for p in parts))


def _choices(
    group: Group, graph: Graph, profile: BoardProfile, runs: frozenset[str], *, allow_float: bool
) -> tuple[Precision, ...]:
    legal = tuple(p for p in CHOICES if _legal(group, p, graph, profile, runs))
    integer = tuple(p for p in legal if p.integer)
    return legal if allow_float or not integer else integer


def _legal(group: Group, precision: Precision, graph: Graph, profile: BoardProfile, runs: frozenset[str]) -> bool:
    ops = [graph.ops[index] for index in group.ops]
    pairs = {f"{op.op}:{precision.op_dtype}" for op in ops}
    written = not precision.integer or {op.op for op in ops} <= quantizer.supported_ops(precision)
    return written and pairs <= runs and pairs <= profile.npu_ops


def _boundaries(graph: Graph, groups: Sequence[Group], profile: BoardProfile) -> list[Boundary]:
    owner = {index: number for number, group in enumerate(groups) for index in group.ops}
    maker = {index: owner[op.index] for op in graph.ops for index in op.outputs}
    readers: dict[int, list[int]] = {}
    for op in graph.ops:
        for index in op.inputs:
            if index >= 0 and not graph.tensors[index].constant and maker.get(index, -1) != owner[op.index]:
                readers.setdefault(index, []).append(owner[op.index])
    return [
        Boundary(maker.get(index, -1), tuple(dict.fromkeys(found)), _conversions(graph, index, profile))
        for index, found in readers.items()
    ]


def _conversions(graph: Graph, index: int, profile: BoardProfile) -> dict[tuple[Precision, Precision], Price]:
    return {(a, b): _conversion(graph, index, a, b, profile) for a in CHOICES for b in CHOICES if a is not b}


def _conversion(graph: Graph, index: int, written: Precision, read: Precision, profile: BoardProfile) -> Price:
    """Return the price of converting one tensor, as a graph of one operation."""
    item = {Precision.INT8: "int8", Precision.INT16: "int16", Precision.FP32: "float32"}
    source, target = (replace(graph.tensors[index], dtype=item[p], index=i) for i, p in enumerate((written, read)))
    op = GraphOp(
        index=0,
        op="DEQUANTIZE" if read is Precision.FP32 else "QUANTIZE",
        dtype=f"{written.op_dtype}_{read.op_dtype}",
        inputs=(0,),
        outputs=(1,),
        name=target.name,
        macs=0,
        weight_bytes=0,
        input_bytes=source.size_bytes,
        output_bytes=target.size_bytes,
        output_elements=target.elements,
    )
    found = cost(Graph("", (), (), (source, target), (op,), 0), profile)
    return Price(found.latency_ms, found.energy_mj)
