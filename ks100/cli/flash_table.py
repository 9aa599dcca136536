"""The live table of a fleet on a terminal: one line per board, errors below, redrawn a few times a second.

Fits into 80 columns and 24 lines: if there are more boards than lines, finished ones are counted instead of listed.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.text import Text

from firmware_bridge.host.fleet import FlashEvent, FlashStep
from ks100.cli.wrapping import shortened

if TYPE_CHECKING:
    from firmware_bridge.host.transfer import TransferProgress

__all__ = ["FlashTable"]

_STYLES = {FlashStep.DONE: "green", FlashStep.FAILED: "bold red", FlashStep.RETRY: "yellow"}
_ENDED = (FlashStep.DONE, FlashStep.FAILED)
_STEP_WIDTH, _FIGURES_WIDTH, _GAP = 8, 33, "  "
_NAME_MAX, _BAR_MIN, _BAR_MAX = 32, 5, 24
_ERROR_LINES = 4


class _Row:
    """The latest state of one board."""

    def __init__(self) -> None:
        self.step: FlashStep | None = None
        self.serial = ""
        self.progress: TransferProgress | None = None
        self.error = ""

    def take(self, event: FlashEvent) -> None:
        self.step, self.serial = event.step, event.serial or self.serial
        self.progress = event.progress or self.progress
        self.error = "" if event.error is None else " ".join(str(event.error).split())


class FlashTable:
    """The table, a context manager; its last state remains on the screen."""

    def __init__(self, boards: Iterable[str], console: Console | None = None) -> None:
        """Create a line per board, in this order; ``console`` is standard error by default."""
        self._rows = {board: _Row() for board in boards}
        console = console or Console(file=sys.stderr)
        self._live = Live(self, console=console, refresh_per_second=6, redirect_stdout=False, redirect_stderr=False)

    def __enter__(self) -> FlashTable:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._live.stop()

    def show(self, event: FlashEvent) -> None:
        """Handle one event."""
        self._rows.setdefault(event.board, _Row()).take(event)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the table for the current size of the terminal."""
        width, ascii_only = options.max_width - 1, options.ascii_only
        errors = [(board, row) for board, row in self._rows.items() if row.error][-_ERROR_LINES:]
        room = max(3, options.size.height - len(errors) - 2)
        shown = self._shown(room)
        serial_width = max((len(row.serial) for _, row in shown), default=0) or 1
        longest = max((len(board) for board, _ in shown), default=5)
        fixed = serial_width + _STEP_WIDTH + _FIGURES_WIDTH + 3 * len(_GAP)
        name_width = min(longest, max(12, min(_NAME_MAX, width - fixed)))
        bar = min(_BAR_MAX, width - fixed - name_width)
        lines = [_line(board, row, name_width, serial_width, bar, ascii_only, width) for board, row in shown]
        lines += [Text(shortened(f"{board}: {row.error}", width), style="red") for board, row in errors]
        lines.append(Text(shortened(self._summary(len(shown)), width), style="dim"))
        for line in lines:
            line.no_wrap, line.overflow = True, "crop"
        yield Group(*lines)

    def _shown(self, room: int) -> Sequence[tuple[str, _Row]]:
        """Return the boards to list: all, or active ones first, then waiting ones, then finished ones."""
        rows = list(self._rows.items())
        if len(rows) <= room:
            return rows
        urgency = {None: 1, FlashStep.FAILED: 2, FlashStep.DONE: 3}
        chosen = sorted(range(len(rows)), key=lambda i: (urgency.get(rows[i][1].step, 0), i))[:room]
        return [rows[i] for i in sorted(chosen)]

    def _summary(self, listed: int) -> str:
        steps = Counter(row.step if row.step in _ENDED else None for row in self._rows.values())
        text = f"{steps[FlashStep.DONE]} done, {steps[FlashStep.FAILED]} failed of {len(self._rows)}"
        return text + (f", {len(self._rows) - listed} not listed" if listed < len(self._rows) else "")


def _line(board: str, row: _Row, name_width: int, serial_width: int, bar: int, ascii_only: bool, width: int) -> Text:
    step = "waiting" if row.step is None else row.step.value
    style = _STYLES.get(row.step, "") if row.step else "dim"
    line = Text(shortened(board, name_width).ljust(name_width) + _GAP)
    line.append((row.serial or "-").ljust(serial_width) + _GAP)
    line.append(step.ljust(_STEP_WIDTH), style=style)
    if row.progress is not None and not row.error:
        fraction = row.progress.bytes_done / row.progress.bytes_total if row.progress.bytes_total else 1.0
        if bar >= _BAR_MIN:
            full, empty = ("#", ".") if ascii_only else ("━", "─")
            done = round(bar * fraction)
            line.append(_GAP + full * done + empty * (bar - done))
        line.append(_figures(row, row.progress, fraction, width - line.cell_len))
    return line


def _figures(row: _Row, p: TransferProgress, fraction: float, room: int) -> str:
    """Return as many of the push's figures as fit."""
    figures = [f"{fraction:4.0%}", f"{p.rate_bytes_s / 1000:7.1f} kB/s"]
    if row.step is FlashStep.PUSH and p.eta_s is not None and fraction < 1:
        figures.append(f"{p.eta_s:.0f} s left")
    text = ""
    for figure in figures:
        if len(text) + len(_GAP) + len(figure) > room:
            break
        text += _GAP + figure
    return text
