"""A page of charts on its own, in the report's style, for commands that draw without measuring a board."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib import resources
from pathlib import Path

__all__ = ["Figure", "write_figures"]


@dataclass(frozen=True, slots=True)
class Figure:
    """One chart.

    Attributes:
        title: above it.
        caption: one or two sentences on how to read it.
        svg: the chart, as `hil.report.charts` draws it.
    """

    title: str
    caption: str
    svg: str


def write_figures(path: Path, title: str, lead: str, figures: Sequence[Figure]) -> None:
    """Write ``figures`` as one HTML page that opens offline."""
    style = (resources.files("hil.report") / "page.css").read_text("utf-8")
    body = "".join(
        f'<h2>{escape(f.title)}</h2><p class="soft small">{escape(f.caption)}</p><div class="card">{f.svg}</div>'
        for f in figures
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body><main>"
        f'<h1>{escape(title)}</h1><p class="lead">{escape(lead)}</p>{body}</main></body></html>\n',
        encoding="utf-8",
    )
