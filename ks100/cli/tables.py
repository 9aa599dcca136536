"""Tables on standard output."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from hil.measurements.measurement import Measurement

__all__ = ["FIGURE_COLUMNS", "MARKS", "figure_row", "percent", "print_table"]

MARKS = {"pass": "[green]pass[/]", "fail": "[red]FAIL[/]", "inconclusive": "[yellow]inconclusive[/]", "info": "",
         "invalid": "[red]INVALID[/]"}  # fmt: skip
"""Marks of verdicts in tables, by value."""
FIGURE_COLUMNS = ("what", ">measured", "limit", "verdict", "source", ">published")

_PLAIN_WIDTH = 200


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "") -> None:
    """Print a table; columns whose name begins with ``>`` are right-aligned. Cells may contain rich markup.

    Cells are wrapped only between words. A table that is too wide becomes one block per row, so that no number, name or
    digest is broken.
    """
    from rich.console import Console

    # A file or a pipe has no width; a dumb terminal has one, but no colours.
    console = Console(no_color=True if os.environ.get("TERM") == "dumb" else None, highlight=False)
    if not console.is_terminal or console.is_dumb_terminal:
        width = console.width if console.file.isatty() else _PLAIN_WIDTH
        console = Console(width=width, no_color=True, force_terminal=False, highlight=False)
    cells = [tuple(row) for row in rows]
    table = _table(columns, cells, title)
    if console.measure(table).minimum <= console.width:
        console.print(table)
    else:
        _print_blocks(console, columns, cells, title)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        box=SIMPLE_HEAD,
        pad_edge=False,
        show_header=any(columns),
    )
    for at, name in enumerate(columns):
        words = [word for row in (columns, *rows) for word in Text.from_markup(row[at].lstrip(">")).plain.split()]
        table.add_column(
            name.lstrip(">"),
            justify="right" if name.startswith(">") else "left",
            min_width=max((len(word) for word in words), default=1),
        )
    for row in rows:
        table.add_row(*row)
    return table


def _print_blocks(console: Console, columns: Sequence[str], rows: Sequence[Sequence[str]], title: str) -> None:
    from rich.text import Text

    names = [name.lstrip(">") for name in columns]
    indent = max(len(name) for name in names) + 4
    if title:
        console.print(title, style="bold", soft_wrap=True)
    for row in rows:
        for at, (name, cell) in enumerate(zip(names, row, strict=True)):
            text = Text.from_markup(cell)
            if text.plain or at == 0:
                # Words wider than the terminal are not broken, so that they can be copied.
                console.print(Text(("- " if at == 0 else "  ") + name.ljust(indent - 2)) + text, soft_wrap=True)


def percent(value: float, digits: int = 1) -> str:
    """Return a fraction in [0, 1] as a percentage; a dash for NaN."""
    return "—" if value != value else f"{100 * value:.{digits}f}"


def figure_row(item: Measurement) -> tuple[str, ...]:
    """Return a measurement as a row under `FIGURE_COLUMNS`."""
    return (
        item.name,
        "" if item.invalid else _with_unit(item.value, item.unit),
        str(item.limit or ""),
        MARKS[item.verdict.value],
        f"{item.source.value}, {item.basis.value}",
        "" if item.reference is None else _with_unit(item.reference, item.unit),
    )


def _with_unit(value: float, unit: str) -> str:
    shown = f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return shown if unit == "1" else f"{shown} {unit}"
