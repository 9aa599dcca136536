"""The live table of a fleet on a terminal: one row a board, drawn anew a few times a second. Knows no boards."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from firmware_bridge.host.fleet import FlashEvent, FlashStep

if TYPE_CHECKING:
    from collections.abc import Iterable

    from firmware_bridge.host.transfer import TransferProgress

__all__ = ["FlashTable"]

_BAR_WIDTH = 20
_STYLES = {FlashStep.DONE: "green", FlashStep.FAILED: "bold red", FlashStep.RETRY: "yellow"}


class _Row:
    """The newest of what is known of one board."""

    def __init__(self) -> None:
        self.step: FlashStep | None = None
        self.serial = ""
        self.progress: TransferProgress | None = None
        self.error = ""

    def take(self, event: FlashEvent) -> None:
        self.step, self.serial = event.step, event.serial or self.serial
        self.progress = event.progress or self.progress
        self.error = "" if event.error is None else str(event.error)


class FlashTable:
    """The table; a context manager that leaves its last state on the screen."""

    def __init__(self, boards: Iterable[str], console: Console | None = None) -> None:
        """Give every board its row, in this order; ``console`` is standard error when not given."""
        self._rows = {board: _Row() for board in boards}
        console = console or Console(file=sys.stderr)
        self._live = Live(get_renderable=self._draw, console=console, refresh_per_second=8)

    def __enter__(self) -> FlashTable:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._live.stop()

    def show(self, event: FlashEvent) -> None:
        """Take one event."""
        self._rows.setdefault(event.board, _Row()).take(event)

    def _draw(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("board", "serial", "step", "", "KiB", "kB/s", "on the wire", "again", "left"):
            table.add_column(
                name, justify="right" if name in ("KiB", "kB/s", "on the wire", "again", "left") else "left"
            )
        for board, row in self._rows.items():
            step = "waiting" if row.step is None else row.step.value
            style = _STYLES.get(row.step) if row.step else "dim"
            table.add_row(escape(board), row.serial or "—", f"[{style}]{step}" if style else step, *_progress(row))
        ended = [row.step for row in self._rows.values() if row.step in (FlashStep.DONE, FlashStep.FAILED)]
        table.caption = (
            f"{ended.count(FlashStep.DONE)} done, {ended.count(FlashStep.FAILED)} failed of {len(self._rows)}"
        )
        return table


def _progress(row: _Row) -> tuple[str | ProgressBar, ...]:
    p = row.progress
    if row.error or p is None:
        return (escape(row.error),)
    share = p.bytes_done / p.bytes_total if p.bytes_total else 1.0
    pushing = row.step is FlashStep.PUSH
    return (
        ProgressBar(total=1.0, completed=share, width=_BAR_WIDTH),
        f"{p.bytes_done / 1024:.0f}/{p.bytes_total / 1024:.0f}",
        f"{p.rate_bytes_s / 1000:.1f}",
        f"{p.wire_bytes / 1024:.0f} KiB",
        str(p.retries),
        f"{p.eta_s:.0f} s" if pushing and p.eta_s is not None else "",
    )
