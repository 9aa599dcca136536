"""Latency: where it lies in the decision window, and below it the histogram, enlarged."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hil.measurements.quantiles import quantile
from hil.report.charts import svg
from hil.report.charts.svg import Scale

__all__ = ["latency_chart"]

_WIDTH, _HEIGHT = 640.0, 300.0
_LEFT, _RIGHT = 44.0, 14.0
_STRIP_TOP, _STRIP_BOTTOM = 26.0, 48.0
_TOP, _BOTTOM = 108.0, 264.0
_BINS = 48


def latency_chart(latency_ms: Sequence[float], window_ms: float, period_ms: float) -> str:
    """Return the chart of at least one latency against the decision window and the frame period, all in ms."""
    samples = np.asarray(latency_ms, np.float64)
    marks = [(f"p{round(share * 100)}", quantile(samples, share)) for share in (0.5, 0.9, 0.99)]
    parts = [*_window_strip(samples, window_ms, period_ms), *_histogram(samples, marks)]
    label = ", ".join(f"{name} {value:.2f} ms" for name, value in marks) + f", window {window_ms:g} ms"
    return svg.document(_WIDTH, _HEIGHT, parts, f"Latency of {len(samples)} frames: {label}")


def _window_strip(samples: NDArray[np.float64], window_ms: float, period_ms: float) -> list[str]:
    high = max(window_ms * 1.06, float(samples.max()) * 1.05)
    x = Scale(0.0, high, _LEFT, _WIDTH - _RIGHT)
    middle = (_STRIP_TOP + _STRIP_BOTTOM) / 2
    least, most, slowest = x(float(samples.min())), x(quantile(samples, 0.99)), x(float(samples.max()))
    parts = [
        svg.rect(x(0), _STRIP_TOP, x(window_ms) - x(0), _STRIP_BOTTOM - _STRIP_TOP, "track", radius=4),
        svg.line(least, middle, slowest, middle, "whisker"),
        svg.rect(least, _STRIP_TOP, max(3.0, most - least), _STRIP_BOTTOM - _STRIP_TOP, "f1", radius=1.5),
    ]
    marks = ((period_ms, f"frame period {period_ms:.1f} ms"), (window_ms, f"decision window {window_ms:g} ms"))
    for value, name in marks:
        at = x(value)
        anchor = "end" if at > _WIDTH * 0.7 else "start"
        shift = -5.0 if anchor == "end" else 5.0
        parts += [svg.line(at, _STRIP_TOP - 8, at, _STRIP_BOTTOM + 4, "limit")]
        parts += [svg.text(at + shift, _STRIP_TOP - 8, name, "t limit-text", anchor)]
    for tick in x.ticks(8):
        parts.append(svg.text(x(tick), _STRIP_BOTTOM + 17, f"{tick:g}", "t mute", "middle"))
    parts.append(svg.text(_LEFT - 10, middle + 4, "ms", "t mute", "end"))
    return parts


def _histogram(samples: NDArray[np.float64], marks: list[tuple[str, float]]) -> list[str]:
    low, high = float(samples.min()), _shown_until(samples)
    margin = max((high - low) * 0.04, high * 0.002, 1e-6)
    x = Scale(low - margin, high + margin, _LEFT, _WIDTH - _RIGHT)
    counts, edges = np.histogram(samples, bins=_BINS, range=(x.low, x.high))
    y = Scale(0.0, float(counts.max()) * 1.08, _BOTTOM, _TOP)
    beyond = int((samples > x.high).sum())
    words = (
        f"enlarged; {beyond} of {len(samples)} frames beyond, slowest {samples.max():.3g} ms" if beyond else "enlarged"
    )
    parts = [svg.text(_LEFT, _TOP - 22, words, "t mute")]
    for tick in y.ticks(4):
        parts += [svg.line(_LEFT, y(tick), _WIDTH - _RIGHT, y(tick), "grid")]
        parts += [svg.text(_LEFT - 8, y(tick) + 4, f"{tick:g}", "t mute", "end")]
    for count, begin, end in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            title = f"{begin:.2f} to {end:.2f} ms: {count} frames"
            parts.append(
                svg.rect(x(begin) + 0.5, y(count), x(end) - x(begin) - 1, _BOTTOM - y(count), "f1", title=title)
            )
    parts.append(svg.line(_LEFT, _BOTTOM, _WIDTH - _RIGHT, _BOTTOM, "axis"))
    parts += [svg.text(x(tick), _BOTTOM + 17, f"{tick:g}", "t mute", "middle") for tick in x.ticks(8)]
    parts.append(svg.text(_WIDTH - _RIGHT, _BOTTOM + 33, "latency, ms", "t mute", "end"))
    return parts + _quantile_marks(x, marks)


def _shown_until(samples: NDArray[np.float64]) -> float:
    """Return the slowest latency that the histogram shows: a rare straggler must not flatten all others."""
    usual = quantile(samples, 0.99)
    reach = usual + 1.5 * (usual - float(samples.min()))
    return float(samples.max()) if samples.max() <= reach else max(usual * 1.02, (usual + reach) / 2)


def _quantile_marks(x: Scale, marks: list[tuple[str, float]]) -> list[str]:
    parts, occupied = [], -1e9
    digits = max(0, 2 - math.floor(math.log10(max(marks[-1][1], 1e-9))))
    for name, value in marks:
        at, words = x(value), f"{name} {value:.{digits}f}"
        width = svg.text_width(words, strong=True)
        # Labels that would overlap step to the right of one another.
        place = min(max(at + 4, occupied + 8), _WIDTH - _RIGHT - width)
        occupied = place + width
        parts += [svg.line(at, _TOP - 12, at, _BOTTOM, "mark"), svg.text(place, _TOP - 4, words, "t strong")]
    return parts
