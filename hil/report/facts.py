"""From the values of the floors below to the rows of a report."""

from __future__ import annotations

import math
from collections.abc import Callable

from firmware_bridge.device.cost import GraphCost
from hil.measurements.measurement import Verdict
from hil.report.model import DifferenceRow, GateRow, GateSummary, PrecisionRow
from models.evaluation.compare import compare
from models.evaluation.gate import GateResult
from models.evaluation.metrics import Evaluation

__all__ = ["difference_rows", "gate_summary", "precision_rows"]


def gate_summary(result: GateResult) -> GateSummary:
    """Return what a report shows of the gate."""
    rows = tuple(
        GateRow(
            name=f"{row.rule}: {row.difference.axis} {row.difference.category}".replace("all all", "all frames"),
            drop_points=row.difference.drop_points,
            upper_points=row.difference.upper_points,
            limit_points=row.margin_points,
            frames=row.difference.frames,
            verdict=Verdict(row.verdict.value.lower()),
            required=row.required,
        )
        for row in result.rows
    )
    return GateSummary(Verdict(result.verdict.value.lower()), result.reason, rows)


def difference_rows(parent: Evaluation, candidate: Evaluation, model: str, pool: str) -> tuple[DifferenceRow, ...]:
    """Return how AP50 of a model differs from its parent's, by the paired bootstrap over scenes."""
    return tuple(
        DifferenceRow(
            model=model, pool=pool, axis="" if item.axis == "all" else item.axis,
            category="all frames" if item.axis == "all" else item.category, points=-item.drop_points,
            low=-item.upper_points, high=-item.lower_points, frames=item.frames,
        )
        for item in compare(parent, candidate)
        if math.isfinite(item.drop_points)
    )  # fmt: skip


def precision_rows(cost: GraphCost, group: Callable[[str], str] | None = None) -> tuple[PrecisionRow, ...]:
    """Return the graph's operations as the precision strip shows them.

    Args:
        cost: of the graph on the board.
        group: names the layer group of an operation by its name; without it the strip is not divided.
    """
    return tuple(
        PrecisionRow(
            name=item.op.name,
            op=item.op.op,
            dtype=item.op.dtype,
            macs=item.op.macs,
            npu=item.on_npu,
            group=group(item.op.name) if group is not None else "",
            latency_us=item.latency_us,
            energy_uj=item.energy_uj,
        )
        for item in cost.ops
    )
