"""The few SVG elements that the charts are drawn from, and a linear scale with round ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Scale", "circle", "document", "legend", "line", "marker", "path", "polygon", "rect", "text", "text_width"]

_CHARACTER = 7.0  # of the page's font, on average
_STRONG_CHARACTER = 7.8


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values from ``low``..``high`` to pixels from ``start``..``end``."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Return the pixel of ``value``."""
        span = self.high - self.low
        return self.start + (self.end - self.start) * ((value - self.low) / span if span else 0.0)

    def ticks(self, count: int = 5) -> list[float]:
        """Return about ``count`` round values within the scale."""
        span = self.high - self.low
        if span <= 0 or not math.isfinite(span):
            return [self.low]
        rough = span / max(1, count)
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(index * step, 10) for index in range(first, last + 1)]


def document(width: float, height: float, parts: Iterable[str], label: str) -> str:
    """Return one SVG picture that scales with the page; ``label`` is what a screen reader says."""
    body = "".join(parts)
    return (
        f'<svg viewBox="0 0 {_n(width)} {_n(height)}" role="img" aria-label="{escape(label)}" '
        f'xmlns="http://www.w3.org/2000/svg">{body}</svg>'
    )


def line(x0: float, y0: float, x1: float, y1: float, kind: str) -> str:
    """Return a line of class ``kind``."""
    return f'<line x1="{_n(x0)}" y1="{_n(y0)}" x2="{_n(x1)}" y2="{_n(y1)}" class="{kind}"/>'


def rect(x: float, y: float, width: float, height: float, kind: str, *, title: str = "", radius: float = 0.0) -> str:
    """Return a rectangle; ``title`` shows when a pointer rests on it."""
    corner = f' rx="{_n(radius)}"' if radius else ""
    head = f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(max(0.0, width))}" height="{_n(max(0.0, height))}"{corner}'
    return f'{head} class="{kind}">{_title(title)}</rect>' if title else f'{head} class="{kind}"/>'


def circle(x: float, y: float, radius: float, kind: str, title: str = "") -> str:
    """Return a disc."""
    return f'<circle cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}" class="{kind}">{_title(title)}</circle>'


def marker(x: float, y: float, index: int, title: str = "") -> str:
    """Return the mark of the model at ``index``: colour and shape both tell it from others."""
    kind, size = f"f{index % 6 + 1} dot", 5.0
    shapes = {
        1: ((-1, -1), (1, -1), (1, 1), (-1, 1)),
        2: ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
        3: ((0, -1.2), (1.2, 1), (-1.2, 1)),
        4: ((-1.2, -1), (1.2, -1), (0, 1.2)),
    }
    corners = shapes.get(index % 5)
    if corners is None:
        return circle(x, y, size, kind, title)
    points = _points((x + 0.9 * size * dx, y + 0.9 * size * dy) for dx, dy in corners)
    return f'<path d="M{points}Z" class="{kind}">{_title(title)}</path>'


def text(x: float, y: float, content: str, kind: str = "t", anchor: str = "start") -> str:
    """Return a line of text whose baseline is at ``y``."""
    return f'<text x="{_n(x)}" y="{_n(y)}" class="{kind}" text-anchor="{anchor}">{escape(content)}</text>'


def text_width(content: str, *, strong: bool = False) -> float:
    """Return about how wide ``content`` is, in pixels."""
    return len(content) * (_STRONG_CHARACTER if strong else _CHARACTER)


def legend(names: Sequence[str], left: float, right: float, y: float) -> list[str]:
    """Return a row of colours with their names from ``left`` on, or from further left if it would pass ``right``."""
    widths = [32 + text_width(name) for name in names]
    at = max(4.0, min(left, right - sum(widths) + 16))
    parts = []
    for index, (name, width) in enumerate(zip(names, widths, strict=True)):
        parts += [marker(at + 5, y, index), text(at + 15, y + 4, name)]
        at += width
    return parts


def path(points: Iterable[tuple[float, float]], kind: str) -> str:
    """Return an open line through ``points``."""
    return f'<path d="M{_points(points)}" class="{kind}"/>'


def polygon(points: Iterable[tuple[float, float]], kind: str) -> str:
    """Return a filled area with the corners ``points``."""
    return f'<path d="M{_points(points)}Z" class="{kind}"/>'


def _points(points: Iterable[tuple[float, float]]) -> str:
    return "L".join(f"{_n(x)} {_n(y)}" for x, y in points)


def _title(content: str) -> str:
    return f"<title>{escape(content)}</title>" if content else ""


def _n(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
