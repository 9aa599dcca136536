"""What a person sees while boards are flashed: a bar a board on a terminal, plain lines elsewhere, or JSON lines."""

from __future__ import annotations

import json
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from firmware_bridge.host.fleet import FlashEvent
    from firmware_bridge.host.transfer import TransferProgress

__all__ = ["FlashDisplay"]

_PLAIN_EVERY_S = 1.0


class FlashDisplay:
    """Shows the events of a fleet; a context manager."""

    def __init__(self, *, as_json: bool = False) -> None:
        """Choose how to show: JSON lines on standard output, else bars or lines on standard error."""
        self._as_json = as_json
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}
        self._shown_s: dict[str, float] = {}
        self._steps: dict[str, str] = {}
        if not as_json and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), TextColumn("{task.fields[text]}"))
            self._bars = Progress(*columns, console=Console(stderr=True))

    def __enter__(self) -> FlashDisplay:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._bars is not None:
            self._bars.stop()

    def show(self, event: FlashEvent) -> None:
        """Show one event."""
        if self._as_json:
            print(json.dumps(_as_record(event)), flush=True)  # noqa: T201 - this is the face
        elif self._bars is not None:
            self._show_bar(event)
        else:
            self._show_line(event)

    def _show_bar(self, event: FlashEvent) -> None:
        if event.board not in self._tasks:
            self._tasks[event.board] = self._bars.add_task(event.board, total=1.0, text="")
        share = {} if event.progress is None else {"completed": _share(event.progress)}
        self._bars.update(self._tasks[event.board], text=_text(event), **share)

    def _show_line(self, event: FlashEvent) -> None:
        now = time.monotonic()
        same_step = self._steps.get(event.board) == event.step.value
        if same_step and now - self._shown_s.get(event.board, 0) < _PLAIN_EVERY_S:
            return
        self._steps[event.board], self._shown_s[event.board] = event.step.value, now
        share = "" if event.progress is None else f"{_share(event.progress):4.0%} "
        print(f"{event.board}  {share}{_text(event)}", file=sys.stderr, flush=True)  # noqa: T201 - this is the face


def _share(progress: TransferProgress) -> float:
    return progress.bytes_done / progress.bytes_total if progress.bytes_total else 1.0


def _text(event: FlashEvent) -> str:
    if event.error is not None:
        return f"{event.step.value}: {event.error}"
    if event.progress is None:
        return event.step.value
    p = event.progress
    left = "" if p.eta_s is None else f", {p.eta_s:.0f} s left"
    retries = f", {p.retries} frames again" if p.retries else ""
    return (
        f"{event.step.value} {p.bytes_done / 1024:.0f}/{p.bytes_total / 1024:.0f} KiB,"
        f" {p.rate_bytes_s / 1000:.1f} kB/s{left}{retries}"
    )


def _as_record(event: FlashEvent) -> dict[str, object]:
    record: dict[str, object] = {"board": event.board, "step": event.step.value}
    if event.progress is not None:
        p = event.progress
        record |= {
            "bytes_done": p.bytes_done, "bytes_total": p.bytes_total, "wire_bytes": p.wire_bytes,
            "rate_bytes_s": p.rate_bytes_s, "eta_s": p.eta_s, "retries": p.retries,
        }  # fmt: skip
    if event.error is not None:
        record["error"] = str(event.error)
    return record
