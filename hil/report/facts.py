"""From the values of the floors below to the rows of a report."""

from __future__ import annotations

from collections.abc import Callable

from firmware_bridge.device.cost import GraphCost
from hil.measurements.measurement import Verdict
from hil.report.model import GateRow, GateSummary, PrecisionRow
from models.evaluation.gate import GateResult

__all__ = ["gate_summary", "precision_rows"]


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
        )
        for item in cost.ops
    )
