"""The Pareto front: predicted loss against power, with error bars, and the plan that was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hil.report.charts import svg
from hil.report.charts.svg import Scale

__all__ = ["ParetoPoint", "pareto_chart"]

_WIDTH, _HEIGHT = 860.0, 360.0
_LETTER, _LINE = 6.8, 15.0  # about what a letter and a line of a label take
_LEFT, _RIGHT, _TOP, _BOTTOM = 66.0, 20.0, 36.0, 312.0


@dataclass(frozen=True, slots=True)
class ParetoPoint:
    """One plan: its power, and its loss as a share of all INT8's, with the upper end of its interval."""

    name: str
    watts: float
    loss: float
    upper: float
    chosen: bool = False


def pareto_chart(points: Sequence[ParetoPoint], others: Sequence[ParetoPoint], limit_watts: float) -> str:
    """Return the front ``points`` by rising power, other plans beside it, and the limit if it lies near."""
    every = [*points, *others]
    low, high = min(p.watts for p in every), max(p.watts for p in every)
    margin = max((high - low) * 0.05, 0.005)
    x = Scale(low - margin, high + margin, _LEFT, _WIDTH - _RIGHT)
    y = Scale(0.0, max(p.upper for p in every) * 1.06, _BOTTOM, _TOP)
    parts = [svg.line(_LEFT, y(tick), _WIDTH - _RIGHT, y(tick), "grid") for tick in y.ticks(5)]
    parts += [svg.text(_LEFT - 8, y(tick) + 4, f"{100 * tick:g} %", "t mute", "end") for tick in y.ticks(5)]
    parts += [svg.text(x(tick), _BOTTOM + 17, f"{tick:g} W", "t mute", "middle") for tick in x.ticks(7)]
    parts.append(svg.path([(x(p.watts), y(p.loss)) for p in points], "roof r1"))
    if x.low < limit_watts < x.high:
        parts.append(svg.line(x(limit_watts), _TOP - 6, x(limit_watts), _BOTTOM, "limit"))
        parts.append(svg.text(x(limit_watts) + 5, _TOP - 8, f"limit {limit_watts:.4g} W", "t limit-text"))
    for point in every:
        title = f"{point.name}: {point.watts:.3f} W, {100 * point.loss:.1f} % of the loss of all INT8"
        kind = "f2 dot" if point.chosen else "f1 dot" if point in points else "f6 dot"
        parts.append(svg.line(x(point.watts), y(point.loss), x(point.watts), y(point.upper), "whisker"))
        parts.append(svg.circle(x(point.watts), y(point.loss), 6 if point.chosen else 4, kind, title))
    named = [(point.name, x(point.watts), y(point.loss)) for point in every if point.chosen or point not in points]
    parts += _labels(named)
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(svg.text(middle, _HEIGHT - 10, "power of the board, modelled", "t mute", "middle"))
    return svg.document(_WIDTH, _HEIGHT, parts, "Predicted loss in the worst condition against power")


def _labels(named: Sequence[tuple[str, float, float]]) -> list[str]:
    """Return names beside their points ``(name, x, y)``: each where it is inside, and covers no other name."""
    parts: list[str] = []
    taken: list[tuple[float, float, float]] = []  # left, baseline, width
    for name, x, y in named:
        width = _LETTER * len(name)
        places = [(x + 9, y - 7), (x + 9, y + 17), (x - 9 - width, y - 7), (x - 9 - width, y + 17), (x + 9, y - 24)]
        free = [place for place in places if place[0] >= _LEFT and place[0] + width <= _WIDTH]
        free = [place for place in free if not any(_overlap(place, width, other) for other in taken)]
        left, base = (free or places)[0]
        taken.append((left, base, width))
        parts.append(svg.text(left, base, name))
    return parts


def _overlap(place: tuple[float, float], width: float, other: tuple[float, float, float]) -> bool:
    left, base = place
    other_left, other_base, other_width = other
    return left < other_left + other_width and other_left < left + width and abs(base - other_base) < _LINE
