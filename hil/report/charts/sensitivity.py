"""A sensitivity map: groups against conditions, how few groups carry most of it, and blocks against their size."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hil.report.charts import svg
from hil.report.charts.svg import Scale
from models.sensitivity.map import GroupFigures, SensitivityMap, Shares

__all__ = ["cumulative_chart", "heat_map", "shares_chart"]

_WIDTH = 980.0
_LEFT, _TOP, _ROW = 210.0, 118.0, 18.0
_SHADES = 9  # classes h0 (nothing) to h8 (most) of the style sheet


def heat_map(found: SensitivityMap, top: int) -> str:
    """Return the ``top`` groups against every condition of every pool; a cell's shade is its share of its column."""
    groups = sorted(found.groups, key=lambda g: -found.worst(g))[:top]
    columns = [(pool, category) for pool in found.pools for category in found.categories(pool)]
    width = (_WIDTH - _LEFT) / len(columns)
    sums = {column: sum(_value(group, *column) for group in found.groups) or 1.0 for column in columns}
    most = max(_value(group, *column) / sums[column] for group in groups for column in columns) or 1.0
    parts = []
    for number, (pool, category) in enumerate(columns):
        at = _LEFT + (number + 0.5) * width
        name = category.partition("=")[2].replace("_", " ") or f"all of {pool}"
        parts.append(_slanted(at, _TOP - 8, name, strong=category == "all"))
    for row, group in enumerate(groups):
        y = _TOP + row * _ROW
        mark = "" if group.measured else "~"
        parts.append(svg.text(_LEFT - 10, y + 13, f"{mark}{group.name}", "t", "end"))
        for number, column in enumerate(columns):
            share = _value(group, *column) / sums[column]
            shade = min(_SHADES - 1, round((_SHADES - 1) * math.sqrt(share / most)))
            title = f"{group.name}, {column[0]}, {column[1]}: {share:.1%} of the sum, {_value(group, *column):.3g}"
            parts.append(
                svg.rect(_LEFT + number * width, y, width - 1.5, _ROW - 1.5, f"h{shade}", title=title, radius=2)
            )
    label = f"Divergence of the {len(groups)} most sensitive groups in {len(columns)} conditions"
    return svg.document(_WIDTH, _TOP + len(groups) * _ROW + 8, parts, label)


def _value(group: GroupFigures, pool: str, category: str) -> float:
    found = group.of("int8", pool, category)
    return 0.0 if found is None or math.isnan(found.value) else found.value


def _slanted(x: float, y: float, content: str, *, strong: bool) -> str:
    kind = "t strong" if strong else "t mute"
    return f'<g transform="translate({x:.1f} {y:.1f}) rotate(-45)">{svg.text(0, 0, content, kind)}</g>'


def cumulative_chart(found: SensitivityMap) -> str:
    """Return which share of the summed divergence the worst groups carry, pool by pool."""
    width, height, left, top, bottom = 640.0, 300.0, 56.0, 34.0, 262.0
    x, y = Scale(0, len(found.groups), left, width - 20), Scale(0.0, 1.0, bottom, top)
    parts = [svg.line(left, y(tick / 4), width - 20, y(tick / 4), "grid") for tick in range(5)]
    parts += [svg.text(left - 8, y(tick / 4) + 4, f"{25 * tick} %", "t mute", "end") for tick in range(5)]
    parts += [svg.text(x(tick), bottom + 17, f"{tick:g}", "t mute", "middle") for tick in x.ticks(6)]
    at = left
    for number, pool in enumerate(found.pools, start=1):
        values = sorted((_value(group, pool, "all") for group in found.groups), reverse=True)
        total, run, points = sum(values) or 1.0, 0.0, [(x(0), y(0))]
        for count, value in enumerate(values, start=1):
            run += value
            points.append((x(count), y(run / total)))
        parts.append(svg.path(points, f"roof r{number}"))
        parts += [svg.circle(at + 5, 16, 5, f"f{number} dot"), svg.text(at + 15, 20, pool)]
        at += 34 + 6.6 * len(pool)
    parts.append(svg.text((left + width) / 2, height - 4, "groups, the most sensitive first", "t mute", "middle"))
    return svg.document(width, height, parts, "Cumulative share of the summed divergence by group")


def shares_chart(shares: Shares) -> str:
    """Return each block's share of the loss with its interval, above its share of the parameters."""
    return _bars([(b.block, b.share.value, b.share.lower, b.share.upper, b.parameters) for b in shares.blocks])


def _bars(rows: Sequence[tuple[str, float, float, float, float]]) -> str:
    width, left, row = 640.0, 110.0, 34.0
    most = max(0.05, *(max(upper, parameters) for *_, upper, parameters in rows))
    x = Scale(min(0.0, *(lower for _, _, lower, _, _ in rows)), most * 1.08, left, width - 60)
    height = 40 + row * len(rows) + 24
    parts = [
        svg.rect(left, 8, 10, 10, "f1", radius=2), svg.text(left + 16, 17, "share of the loss, 90 % interval"),
        svg.rect(left + 230, 8, 10, 10, "quiet", radius=2), svg.text(left + 246, 17, "share of the parameters"),
    ]  # fmt: skip
    for number, (block, share, lower, upper, parameters) in enumerate(rows):
        y = 34 + number * row
        parts.append(svg.text(left - 10, y + 15, block, "t", "end"))
        parts.append(svg.rect(min(x(0), x(share)), y, abs(x(share) - x(0)), 12, "f1", radius=2, title=f"{share:.1%}"))
        parts.append(svg.line(x(lower), y + 6, x(upper), y + 6, "mark"))
        parts.append(svg.rect(x(0), y + 14, x(parameters) - x(0), 7, "quiet", radius=2, title=f"{parameters:.1%}"))
        parts.append(svg.text(width - 4, y + 12, f"{100 * share:.1f} %", "t", "end"))
    parts += [svg.text(x(tick), height - 8, f"{100 * tick:g} %", "t mute", "middle") for tick in x.ticks(5)]
    return svg.document(width, height, parts, "Share of the loss by block, beside its share of the parameters")
