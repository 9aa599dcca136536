"""One paced run over time: latency above, rails below on the same clock, idle window and loop apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.protocol.messages import Measured
from hil.report.charts import svg
from hil.report.charts.svg import Scale

__all__ = ["timeline_chart"]

_WIDTH, _HEIGHT = 980.0, 420.0
_LEFT, _RIGHT = 52.0, 120.0
_LATENCY_TOP, _LATENCY_BOTTOM = 38.0, 150.0
_TOP, _BOTTOM = 184.0, 360.0
_POINTS = 320


def timeline_chart(measured: Measured, budget_mw: float, window_ms: float, *, valid: bool) -> str:
    """Return the chart of a run with latencies, and at least one rail with two samples.

    Args:
        measured: the run.
        budget_mw: the board's power budget; drawn where it lies in the picture.
        window_ms: the decision window, likewise.
        valid: whether the rails' samples are power; without it no mean is written.
    """
    begin, end = _span(measured)
    x = Scale(0.0, end - begin, _LEFT, _WIDTH - _RIGHT)
    parts = [*_windows(measured, begin, x), *_latency(measured, begin, x, window_ms)]
    parts += _rails(measured, begin, x, budget_mw, valid=valid)
    parts += [svg.text(x(tick), _BOTTOM + 17, f"{tick:g}", "t mute", "middle") for tick in x.ticks(10)]
    parts.append(svg.text(_WIDTH - _RIGHT, _BOTTOM + 34, "board time, s", "t mute", "end"))
    parts += svg.legend([trace.rail for trace in measured.rails], _LEFT, _WIDTH, _HEIGHT - 14)
    label = f"Latency of {len(measured.latency_ms)} frames and power of {len(measured.rails)} rails over {x.high:.1f} s"
    return svg.document(_WIDTH, _HEIGHT, parts, label)


def _span(measured: Measured) -> tuple[float, float]:
    ends = [trace.time_s[-1] for trace in measured.rails] + [measured.start_s[-1]]
    return min(measured.idle_from_s, *(trace.time_s[0] for trace in measured.rails)), max(ends)


def _windows(measured: Measured, begin: float, x: Scale) -> list[str]:
    """Shade idle window and loop, and name them; what lies between is the warm-up."""
    loop_from, loop_to = measured.start_s[0] - begin, measured.start_s[-1] - begin
    idle_from, idle_to = measured.idle_from_s - begin, measured.idle_to_s - begin
    parts = []
    for name, low, high, kind in (("idle", idle_from, idle_to, "idle"), ("counted loop", loop_from, loop_to, "load")):
        left, right = x(max(0.0, low)), x(min(x.high, high))
        parts.append(svg.rect(left, _LATENCY_TOP - 14, right - left, _BOTTOM - _LATENCY_TOP + 14, kind))
        parts.append(svg.text((left + right) / 2, _LATENCY_TOP - 20, name, "t strong", "middle"))
    return parts


def _latency(measured: Measured, begin: float, x: Scale, window_ms: float) -> list[str]:
    time_s = np.asarray(measured.start_s, np.float64) - begin
    latency = np.asarray(measured.latency_ms, np.float64)
    y = Scale(0.0, float(latency.max()) * 1.15, _LATENCY_BOTTOM, _LATENCY_TOP)
    parts = _axis(y, "ms", 3)
    slowest = _binned(time_s, latency, x.high, np.max)
    usual = _binned(time_s, latency, x.high, np.median)
    parts.append(svg.path([(x(t), y(v)) for t, v in slowest], "roof r6"))
    parts.append(svg.path([(x(t), y(v)) for t, v in usual], "roof r1"))
    parts += _level(y, float(np.median(latency)), f"median {np.median(latency):.3g} ms", "t")
    parts.append(svg.text(_WIDTH - _RIGHT + 8, y(float(latency.max())) + 4, f"worst {latency.max():.3g} ms", "t"))
    if window_ms <= y.high:
        parts.append(svg.line(_LEFT, y(window_ms), _WIDTH - _RIGHT, y(window_ms), "limit"))
    return parts


def _rails(measured: Measured, begin: float, x: Scale, budget_mw: float, *, valid: bool) -> list[str]:
    time_s, stack = _stack(measured, begin, x.high)
    top_w = float(stack[-1].max()) / 1000
    budget_w = budget_mw / 1000
    y = Scale(0.0, max(budget_w, top_w) * 1.06 if budget_w < 2 * top_w else top_w * 1.2, _BOTTOM, _TOP)
    parts = _axis(y, "W", 4)
    for index in range(len(measured.rails)):
        upper = [(x(t), y(p / 1000)) for t, p in zip(time_s, stack[index + 1], strict=True)]
        lower = [(x(t), y(p / 1000)) for t, p in zip(time_s, stack[index], strict=True)]
        parts.append(svg.polygon([*upper, *reversed(lower)], f"f{index % 6 + 1}"))
    if valid:
        idle, load = _means(time_s, stack[-1], measured, begin)
        parts += _level(y, idle, f"idle {idle:.3g} W", "t")
        # Two labels at one height would cover each other.
        shift = -13.0 if abs(y(idle) - y(load)) < 13 else 0.0
        parts += _level(y, load, f"load {load:.3g} W", "t strong", shift)
    if budget_w <= y.high:
        parts.append(svg.line(_LEFT, y(budget_w), _WIDTH - _RIGHT, y(budget_w), "limit"))
        parts.append(svg.text(_LEFT + 6, y(budget_w) - 5, f"budget {budget_w:g} W", "t limit-text"))
    return parts


def _means(
    time_s: NDArray[np.float64], total_mw: NDArray[np.float64], measured: Measured, begin: float
) -> tuple[float, float]:
    """Return the mean power of idle window and loop, watts."""
    windows = ((measured.idle_from_s, measured.idle_to_s), (measured.start_s[0], measured.start_s[-1]))
    found = []
    for low, high in windows:
        inside = total_mw[(time_s >= low - begin) & (time_s <= high - begin)]
        found.append(float(inside.mean()) / 1000 if len(inside) else float("nan"))
    return found[0], found[1]


def _level(y: Scale, value: float, words: str, kind: str, shift: float = 0.0) -> list[str]:
    if not (y.low <= value <= y.high):
        return []
    right = _WIDTH - _RIGHT
    return [svg.line(_LEFT, y(value), right, y(value), "mark"), svg.text(right + 8, y(value) + 4 + shift, words, kind)]


def _axis(y: Scale, unit: str, count: int) -> list[str]:
    parts = []
    for tick in y.ticks(count):
        parts += [svg.line(_LEFT, y(tick), _WIDTH - _RIGHT, y(tick), "grid")]
        parts += [svg.text(_LEFT - 8, y(tick) + 4, f"{tick:g}", "t mute", "end")]
    parts.append(svg.text(_LEFT - 8, y(y.high) - 6, unit, "t mute", "end"))
    return [*parts, svg.line(_LEFT, y(0.0), _WIDTH - _RIGHT, y(0.0), "axis")]


def _binned(
    time_s: NDArray[np.float64], values: NDArray[np.float64], span_s: float, how: object
) -> list[tuple[float, float]]:
    """Return (time, value) for each bin that has samples."""
    assert callable(how)
    place = np.clip((time_s / span_s * _POINTS).astype(np.int64), 0, _POINTS - 1)
    return [(float(time_s[place == n].mean()), float(how(values[place == n]))) for n in np.unique(place)]


def _stack(measured: Measured, begin: float, span_s: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return bin times [T] and cumulated power [rails + 1, T] in mW, each bin the mean of its samples."""
    centres = (np.arange(_POINTS) + 0.5) * span_s / _POINTS
    rows = [np.zeros(_POINTS)]
    for trace in measured.rails:
        times, power = np.asarray(trace.time_s, np.float64) - begin, np.asarray(trace.power_mw, np.float64)
        place = np.clip((times / span_s * _POINTS).astype(np.int64), 0, _POINTS - 1)
        count = np.bincount(place, minlength=_POINTS)
        mean = np.bincount(place, weights=power, minlength=_POINTS) / np.maximum(count, 1)
        filled = count > 0
        rows.append(rows[-1] + np.interp(centres, centres[filled], mean[filled]))
    return centres, np.stack(rows)
