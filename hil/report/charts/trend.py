"""A figure over the runs of the history, as a picture that stands alone: a dot a run, a line a package."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from hil.comparison.history import TrendPoint
from hil.report.charts import svg
from hil.report.charts.svg import Scale

__all__ = ["trend_svg"]

_WIDTH, _HEIGHT = 900.0, 320.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 76.0, 880.0, 40.0, 276.0
_STYLE = (
    "<style>text{font:12px sans-serif;fill:#222}.strong{font-weight:600}.grid{stroke:#ddd}.dot{fill:#14508c}"
    ".edge{stroke:#999;stroke-dasharray:3 3}.line{stroke:#14508c;fill:none}</style>"
)


def trend_svg(figure: str, points: Sequence[TrendPoint]) -> str:
    """Draw a figure, run by run in their order; where the package changes, a dashed line stands with its version."""
    values = [point.value for point in points]
    spare = 0.1 * (max(values) - min(values)) or 0.05 * abs(values[0]) or 1.0
    x = Scale(0, max(1, len(points) - 1), _LEFT + 12, _RIGHT - 12)
    y = Scale(min(values) - spare, max(values) + spare, _BOTTOM, _TOP)
    parts = [_STYLE, svg.text(_LEFT, 22, f"{figure}, {points[0].unit}, of {len(points)} runs", "strong")]
    for tick in y.ticks():
        parts += [
            svg.line(_LEFT, y(tick), _RIGHT, y(tick), "grid"),
            svg.text(_LEFT - 8, y(tick) + 4, f"{tick:g}", "t", "end"),
        ]
    for _, group in groupby(enumerate(points), key=lambda item: item[1].run.payload):
        like = list(group)
        at = x(like[0][0]) - 8
        run = like[0][1].run
        parts += [svg.line(at, _TOP, at, _BOTTOM, "edge"), svg.text(at + 3, _BOTTOM + 18, f"{run.model} {run.version}")]
        parts.append(svg.path([(x(index), y(point.value)) for index, point in like], "line"))
        parts += [
            svg.circle(x(index), y(point.value), 4, "dot", f"run {point.run.id}, {point.run.began}: {point.value:.5g}")
            for index, point in like
        ]
    parts.append(svg.text(_LEFT, _BOTTOM + 36, f"{points[0].run.began} to {points[-1].run.began}"))
    return svg.document(_WIDTH, _HEIGHT, parts, f"{figure} of {len(points)} runs") + "\n"
