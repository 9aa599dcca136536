"""The precision plan as a strip: one cell an operation, as wide as its share of the work, coloured by its type."""

from __future__ import annotations

from collections.abc import Sequence

from hil.report.charts import svg
from hil.report.model import PrecisionRow

__all__ = ["DTYPE_CLASSES", "precision_strip"]

DTYPE_CLASSES = {"INT8": "f1", "INT16": "f2", "FLOAT16": "f4", "FLOAT32": "f5"}
"""Class of each type; conversions and others are quiet."""

_WIDTH, _HEIGHT = 980.0, 74.0
_MIN_WIDTH = 1.6  # pixels: an operation without multiplications is still there
_TOP, _BOTTOM = 8.0, 44.0


def precision_strip(rows: Sequence[PrecisionRow]) -> str:
    """Return the strip of at least one operation, in execution order."""
    work = sum(row.macs for row in rows) or 1
    free = _WIDTH - _MIN_WIDTH * len(rows)
    parts, at = [], 0.0
    spans: list[tuple[str, float, float]] = []
    for row in rows:
        width = _MIN_WIDTH + free * row.macs / work
        kind = DTYPE_CLASSES.get(row.dtype, "quiet") + ("" if row.npu else " cpu")
        title = f"{row.op} {row.dtype}, {row.macs / 1e6:.2f} M MAC, {'NPU' if row.npu else 'CPU'}: {row.name}"
        parts.append(svg.rect(at, _TOP, max(0.8, width - 0.5), _BOTTOM - _TOP, kind, title=title))
        if spans and spans[-1][0] == row.group:
            spans[-1] = (row.group, spans[-1][1], at + width)
        else:
            spans.append((row.group, at, at + width))
        at += width
    for group, begin, end in spans:
        if group and end - begin > 6.4 * len(group):
            parts += [svg.line(begin + 1, _BOTTOM + 7, end - 1, _BOTTOM + 7, "span")]
            parts += [svg.text((begin + end) / 2, _BOTTOM + 22, group, "t mute", "middle")]
    return svg.document(_WIDTH, _HEIGHT, parts, f"{len(rows)} operations in execution order by type")
