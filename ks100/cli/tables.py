"""Tables for people, on standard output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["print_table", "share_of"]

_PLAIN_WIDTH = 140


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, title: str = "") -> None:
    """Print a table; columns whose name begins with ``>`` are right-aligned. Cells may hold rich markup."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=_PLAIN_WIDTH, no_color=True)
    table = Table(title=title or None, title_justify="left", title_style="bold", box=SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name.lstrip(">"), justify="right" if name.startswith(">") else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def share_of(value: float, digits: int = 1) -> str:
    """Return a share in [0, 1] as points of a hundred; a dash for NaN."""
    return "—" if value != value else f"{100 * value:.{digits}f}"
