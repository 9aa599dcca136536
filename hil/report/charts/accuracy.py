"""AP50 by condition category: one row a category, one dot a model."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hil.measurements.accuracy import AccuracyRecord
from hil.report.charts import svg
from hil.report.charts.svg import Scale

__all__ = ["accuracy_chart"]

_WIDTH = 640.0
_LEFT, _RIGHT, _TOP, _ROW, _GAP = 190.0, 46.0, 38.0, 24.0, 12.0


def accuracy_chart(records: Sequence[AccuracyRecord]) -> str:
    """Return the chart of records of one pool, in the order of ``records``."""
    rows = _rows(records)
    axes = list(dict.fromkeys(axis for axis, _ in rows))
    height = _TOP + len(rows) * _ROW + len(axes) * _GAP + 30
    x = _scale(records)
    bottom = height - 26
    parts = [svg.line(x(tick), _TOP - 6, x(tick), bottom, "grid") for tick in x.ticks(5)]
    parts += [svg.text(x(tick), bottom + 16, f"{tick:g}", "t mute", "middle") for tick in x.ticks(5)]
    parts += svg.legend([record.model for record in records], _LEFT, _WIDTH, 14)
    y, last = _TOP, ""
    for axis, category in rows:
        if axis != last:
            y, last = y + _GAP, axis
            parts.append(svg.text(8, y + _ROW / 2 + 4, axis, "t mute"))
        parts += _row(records, axis, category, x, y + _ROW / 2)
        y += _ROW
    label = f"AP50 by condition of {', '.join(record.model for record in records)}"
    return svg.document(_WIDTH, height, parts, label)


def _scale(records: Sequence[AccuracyRecord]) -> Scale:
    """Return a scale in tens around all values: dots show differences, so it need not begin at zero."""
    values = [100 * record.ap50 for record in records]
    values += [100 * score.ap50 for record in records for score in record.conditions if not math.isnan(score.ap50)]
    low, high = 10 * math.floor(min(values) / 10), 10 * math.ceil(max(values) / 10 + 1e-9)
    return Scale(max(0.0, min(low, high - 20)), min(100.0, max(high, low + 20)), _LEFT, _WIDTH - _RIGHT)


def _rows(records: Sequence[AccuracyRecord]) -> list[tuple[str, str]]:
    """Return ("", "all") first, then (axis, category), grouped by axis."""
    keys = dict.fromkeys((score.axis, score.category) for record in records for score in record.conditions)
    axes = dict.fromkeys(axis for axis, _ in keys)
    return [("", "all frames"), *((axis, c) for axis in axes for key, c in keys if key == axis)]


def _row(records: Sequence[AccuracyRecord], axis: str, category: str, x: Scale, y: float) -> list[str]:
    values = [(index, record, _value(record, axis, category)) for index, record in enumerate(records)]
    known = [(index, record, value) for index, record, value in values if value is not None]
    frames = max((_frames(record, axis, category) for _, record, _ in known), default=0)
    parts = [svg.text(_LEFT - 12, y + 4, category.replace("_", " "), "t" if axis else "t strong", "end")]
    if known:
        low, high = min(v for _, _, v in known), max(v for _, _, v in known)
        parts.append(svg.line(x(low), y, x(high), y, "span"))
    for index, record, value in known:
        parts.append(
            svg.circle(x(value), y, 5.0 - 0.6 * index, f"f{index % 6 + 1} dot", f"{record.model}: {value:.1f}")
        )
    return [*parts, svg.text(_WIDTH - 4, y + 4, f"n {frames}", "t mute tiny", "end")]


def _value(record: AccuracyRecord, axis: str, category: str) -> float | None:
    if not axis:
        return 100 * record.ap50
    found = (s.ap50 for s in record.conditions if (s.axis, s.category) == (axis, category))
    return next((100 * value for value in found if value == value), None)


def _frames(record: AccuracyRecord, axis: str, category: str) -> int:
    if not axis:
        return record.frames
    return next((s.frames for s in record.conditions if (s.axis, s.category) == (axis, category)), 0)
