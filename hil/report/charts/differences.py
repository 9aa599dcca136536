"""AP50 against the float parent (zero) by condition: a row a category, in it a mark and an interval for each model."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hil.report.charts import svg
from hil.report.charts.svg import Scale
from hil.report.model import DifferenceRow

__all__ = ["differences_chart"]

_WIDTH = 640.0
_LEFT, _RIGHT, _TOP = 190.0, 54.0, 40.0
_LANE, _PAD, _GAP = 13.0, 9.0, 8.0


def differences_chart(rows: Sequence[DifferenceRow], parent: str) -> str:
    """Return the chart of at least one row, all of one pool; ``parent`` names the model that zero is."""
    models = list(dict.fromkeys(row.model for row in rows))
    keys = list(dict.fromkeys((row.axis, row.category) for row in rows))
    axes = list(dict.fromkeys(axis for axis, _ in keys))
    height_of_row = _LANE * len(models) + _PAD
    height = _TOP + len(keys) * height_of_row + len(axes) * _GAP + 44
    x, bottom = _scale(rows), height - 40
    parts = [svg.line(x(tick), _TOP - 4, x(tick), bottom, "grid") for tick in x.ticks(6)]
    parts += [svg.text(x(tick), bottom + 16, f"{tick:+g}" if tick else "0", "t mute", "middle") for tick in x.ticks(6)]
    parts += [svg.line(x(0), _TOP - 6, x(0), bottom, "zero")]
    parts += [svg.text(_WIDTH - _RIGHT, bottom + 34, f"points of AP50 against {parent}", "t mute", "end")]
    parts += svg.legend(models, 8.0, _WIDTH, 14)
    y, last = _TOP, None
    for axis, category in keys:
        if axis != last:
            y, last = y + _GAP, axis
            parts.append(svg.text(8, y + height_of_row / 2 + 4, axis, "t mute"))
        of_key = {row.model: row for row in rows if (row.axis, row.category) == (axis, category)}
        parts += _row(of_key, models, category, x, y, height_of_row)
        y += height_of_row
    worst = min(rows, key=lambda row: row.points)
    label = f"Change of AP50 against {parent} by condition; the worst is {worst.points:+.1f} points, {worst.model} on "
    return svg.document(_WIDTH, height, parts, label + f"{worst.axis} {worst.category}".strip())


def _scale(rows: Sequence[DifferenceRow]) -> Scale:
    ends = [value for row in rows for value in (row.points, row.low, row.high, 0.0) if math.isfinite(value)]
    margin = max(0.06 * (max(ends) - min(ends)), 0.5)
    return Scale(min(ends) - margin, max(ends) + margin, _LEFT, _WIDTH - _RIGHT)


def _row(
    of_key: dict[str, DifferenceRow], models: Sequence[str], category: str, x: Scale, y: float, height: float
) -> list[str]:
    frames = max(row.frames for row in of_key.values())
    parts = [
        svg.text(_LEFT - 12, y + height / 2 + 4, category.replace("_", " "), "t", "end"),
        svg.text(_WIDTH - 4, y + height / 2 + 4, f"n {frames}", "t mute tiny", "end"),
        svg.line(_LEFT, y + height, _WIDTH - _RIGHT, y + height, "grid"),
    ]
    for index, model in enumerate(models):
        row = of_key.get(model)
        if row is None:
            continue
        at = y + _PAD / 2 + _LANE * (index + 0.5)
        title = f"{model}: {row.points:+.2f} points"
        if row.has_interval:
            title += f", 90 % interval {row.low:+.2f} to {row.high:+.2f}"
            parts.append(svg.line(x(row.low), at, x(row.high), at, f"interval r{index % 6 + 1}"))
        parts.append(svg.marker(x(row.points), at, index, title))
    return parts
