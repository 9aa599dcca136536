"""The roofline: work a second against work a byte, one dot an operation, under the roofs of the board's types."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hil.report.charts import svg
from hil.report.charts.precision import DTYPE_CLASSES

__all__ = ["RooflineOp", "roofline_chart"]

_WIDTH, _HEIGHT = 860.0, 420.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 120.0, 20.0, 372.0
_MAX_RADIUS, _MIN_RADIUS = 15.0, 2.2

Axis = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class RooflineOp:
    """One operation.

    Attributes:
        name: of its layer.
        dtype: type that it computes in.
        macs_per_byte: multiply-accumulates a byte that it reads or writes, wherever that lies.
        macs_per_s: multiply-accumulates a second that it reaches.
        share: of the inference's time; the dot's area.
    """

    name: str
    dtype: str
    macs_per_byte: float
    macs_per_s: float
    share: float


def roofline_chart(ops: Sequence[RooflineOp], roofs: dict[str, float], dram_bytes_per_s: float) -> str:
    """Return the chart; operations without multiply-accumulates do not appear in it.

    Args:
        ops: what ran.
        roofs: the peak multiply-accumulates a second by type.
        dram_bytes_per_s: the slope of the roof where weights and spilled activations limit.
    """
    shown = [op for op in ops if op.macs_per_s > 0 and op.macs_per_byte > 0]
    x = _decades([op.macs_per_byte for op in shown] + [peak / dram_bytes_per_s for peak in roofs.values()])
    y = _decades([op.macs_per_s for op in shown] + list(roofs.values()))
    at_x, at_y = _log(x, _LEFT, _WIDTH - _RIGHT), _log(y, _BOTTOM, _TOP)
    parts = [*_grid(x, y, at_x, at_y)]
    for dtype, peak in roofs.items():
        knee = max(peak / dram_bytes_per_s, x[0])
        low = max(x[0], y[0] / dram_bytes_per_s)
        corners = [(at_x(low), at_y(low * dram_bytes_per_s)), (at_x(knee), at_y(peak)), (at_x(x[1]), at_y(peak))]
        parts.append(svg.path(corners, f"roof r{DTYPE_CLASSES.get(dtype, 'f6')[1:]}"))
        parts.append(svg.text(at_x(x[1]) + 8, at_y(peak) + 4, f"{dtype} {_rate(peak)}"))
    for op in sorted(shown, key=lambda op: -op.share):
        radius = max(_MIN_RADIUS, _MAX_RADIUS * math.sqrt(op.share * 8))
        title = (
            f"{op.name}: {op.dtype}, {_rate(op.macs_per_s)}, {op.macs_per_byte:.1f} MAC/byte, {op.share:.1%} of time"
        )
        kind = f"{DTYPE_CLASSES.get(op.dtype, 'f6')} dot bubble"
        parts.append(svg.circle(at_x(op.macs_per_byte), at_y(op.macs_per_s), min(radius, _MAX_RADIUS), kind, title))
    label = f"Roofline of {len(shown)} operations: MAC a second against MAC a byte"
    return svg.document(_WIDTH, _HEIGHT, parts, label)


def _decades(values: Sequence[float]) -> tuple[float, float]:
    """Return the powers of ten around all values."""
    logs = [math.log10(value) for value in values]
    low, high = math.floor(min(logs)), math.ceil(max(logs) + 0.05)
    return 10.0**low, 10.0**high


def _log(span: tuple[float, float], start: float, end: float) -> Axis:
    scale = svg.Scale(math.log10(span[0]), math.log10(span[1]), start, end)
    return lambda value: scale(math.log10(value))


def _grid(x: tuple[float, float], y: tuple[float, float], at_x: Axis, at_y: Axis) -> list[str]:
    parts = []
    for power in range(round(math.log10(x[0])), round(math.log10(x[1])) + 1):
        at = at_x(10.0**power)
        parts += [
            svg.line(at, _TOP, at, _BOTTOM, "grid"),
            svg.text(at, _BOTTOM + 17, f"{10.0**power:g}", "t mute", "middle"),
        ]
    for power in range(round(math.log10(y[0])), round(math.log10(y[1])) + 1):
        at = at_y(10.0**power)
        parts += [
            svg.line(_LEFT, at, _WIDTH - _RIGHT, at, "grid"),
            svg.text(_LEFT - 8, at + 4, _rate(10.0**power), "t mute", "end"),
        ]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return [*parts, svg.text(middle, _HEIGHT - 10, "MAC a byte read or written", "t mute", "middle")]


def _rate(macs_per_s: float) -> str:
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if macs_per_s >= size:
            return f"{macs_per_s / size:.4g} {unit}MAC/s"
    return f"{macs_per_s:.3g} MAC/s"
