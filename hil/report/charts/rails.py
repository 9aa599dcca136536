"""Power of the rails over one paced run, stacked, with the idle window and the budget."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.protocol.messages import Measured
from hil.report.charts import svg
from hil.report.charts.svg import Scale

__all__ = ["rails_chart"]

_WIDTH, _HEIGHT = 640.0, 300.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 14.0, 30.0, 246.0
_POINTS = 320


def rails_chart(measured: Measured, budget_mw: float) -> str:
    """Return the stacked trace; the run has at least one rail with at least two samples."""
    time_s, stack = _stack(measured)
    begin = float(time_s[0])
    x = Scale(0.0, float(time_s[-1]) - begin, _LEFT, _WIDTH - _RIGHT)
    y = Scale(0.0, max(budget_mw, float(stack[-1].max())) * 1.08 / 1000, _BOTTOM, _TOP)
    parts = _frame(x, y)
    for index in range(len(measured.rails)):
        upper, lower = stack[index + 1], stack[index]
        corners = [(x(t - begin), y(p / 1000)) for t, p in zip(time_s, upper, strict=True)]
        floor = [(x(t - begin), y(p / 1000)) for t, p in zip(time_s, lower, strict=True)]
        parts.append(svg.polygon([*corners, *reversed(floor)], f"f{index % 6 + 1}"))
    parts += _windows(measured, begin, x, y, budget_mw)
    parts += svg.legend([trace.rail for trace in measured.rails], _LEFT, _WIDTH, _HEIGHT - 11)
    label = f"Power of {len(measured.rails)} rails over {x.high:.1f} s against a budget of {budget_mw / 1000:g} W"
    return svg.document(_WIDTH, _HEIGHT, parts, label)


def _stack(measured: Measured) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return bin times [T] and cumulated power [rails + 1, T] in mW, each bin the mean of its samples."""
    begin = min(trace.time_s[0] for trace in measured.rails)
    end = max(trace.time_s[-1] for trace in measured.rails)
    edges = np.linspace(begin, end, _POINTS + 1)
    centres = (edges[:-1] + edges[1:]) / 2
    rows = [np.zeros(_POINTS)]
    for trace in measured.rails:
        times, power = np.asarray(trace.time_s, np.float64), np.asarray(trace.power_mw, np.float64)
        place = np.clip(np.digitize(times, edges) - 1, 0, _POINTS - 1)
        count = np.bincount(place, minlength=_POINTS)
        mean = np.bincount(place, weights=power, minlength=_POINTS) / np.maximum(count, 1)
        filled = count > 0
        rows.append(rows[-1] + np.interp(centres, centres[filled], mean[filled]))
    return centres, np.stack(rows)


def _frame(x: Scale, y: Scale) -> list[str]:
    parts = []
    for tick in y.ticks(4):
        parts += [svg.line(_LEFT, y(tick), _WIDTH - _RIGHT, y(tick), "grid")]
        parts += [svg.text(_LEFT - 8, y(tick) + 4, f"{tick:g}", "t mute", "end")]
    parts += [svg.text(x(tick), _BOTTOM + 17, f"{tick:g}", "t mute", "middle") for tick in x.ticks(8)]
    parts += [svg.text(_LEFT - 8, _TOP - 8, "W", "t mute", "end")]
    return [*parts, svg.text(_WIDTH - _RIGHT, _BOTTOM + 33, "board time, s", "t mute", "end")]


def _windows(measured: Measured, begin: float, x: Scale, y: Scale, budget_mw: float) -> list[str]:
    budget = y(budget_mw / 1000)
    parts = [
        svg.line(_LEFT, budget, _WIDTH - _RIGHT, budget, "limit"),
        svg.text(_WIDTH - _RIGHT, budget - 5, f"budget {budget_mw / 1000:g} W", "t limit-text", "end"),
        svg.line(_LEFT, _BOTTOM, _WIDTH - _RIGHT, _BOTTOM, "axis"),
    ]
    spans = [("idle", measured.idle_from_s, measured.idle_to_s)]
    if measured.start_s:
        spans.append(("loop", measured.start_s[0], measured.start_s[-1]))
    for name, low, high in spans:
        left, right = x(max(0.0, low - begin)), x(min(x.high, high - begin))
        parts += [svg.line(left, _TOP - 4, right, _TOP - 4, "span")]
        parts += [svg.text((left + right) / 2, _TOP - 10, name, "t mute", "middle")]
    return parts
