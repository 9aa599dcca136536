"""What is shown while boards are flashed: a live table on a terminal, plain lines elsewhere, or events as JSON lines.

Progress goes to standard error, JSON to standard output. The end of each board is shown by `show_ends`.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from rich.markup import escape

from ks100.cli.tables import print_table

if TYPE_CHECKING:
    from firmware_bridge.host.fleet import FlashEvent, FlashResult
    from firmware_bridge.host.transfer import TransferProgress

__all__ = ["FlashDisplay", "open_display", "show_ends"]

_PLAIN_EVERY_S = 1.0


class FlashDisplay(Protocol):
    """Shows the events of a fleet."""

    def show(self, event: FlashEvent) -> None:
        """Show one event."""
        ...


def open_display(boards: Iterable[str], *, as_json: bool) -> AbstractContextManager[FlashDisplay]:
    """Return the display that suits where the output goes."""
    if as_json:
        return _JsonLines()
    if sys.stderr.isatty():
        from ks100.cli.flash_table import FlashTable

        return FlashTable(boards)
    return _PlainLines()


class _Lines:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Nothing to put back."""


class _JsonLines(_Lines):
    def show(self, event: FlashEvent) -> None:
        _print_json(_as_record(event))


class _PlainLines(_Lines):
    """A line for each step of a board, and one a second while it is pushed to."""

    def __init__(self) -> None:
        self._shown_s: dict[str, float] = {}
        self._steps: dict[str, str] = {}

    def show(self, event: FlashEvent) -> None:
        now = time.monotonic()
        same_step = self._steps.get(event.board) == event.step.value
        if same_step and now - self._shown_s.get(event.board, 0) < _PLAIN_EVERY_S:
            return
        self._steps[event.board], self._shown_s[event.board] = event.step.value, now
        print(f"{event.board}  {_text(event)}", file=sys.stderr, flush=True)  # noqa: T201 - this is the face


def show_ends(results: Sequence[FlashResult], codes: Sequence[int], *, as_json: bool) -> None:
    """Show how each board ended, with the exit code that its end means, and how many did."""
    if as_json:
        for result, code in zip(results, codes, strict=True):
            _print_json(_end_record(result, code))
        passed = sum(result.passed for result in results)
        _print_json({"event": "summary", "boards": len(results), "passed": passed, "failed": len(results) - passed})
        return
    rows = [
        (
            escape(result.board),
            result.serial or "—",
            f"slot {result.slot} holds {result.digest[:16]}" if result.error is None else escape(str(result.error)),
            f"{result.seconds:.1f}",
            str(code),
        )
        for result, code in zip(results, codes, strict=True)
    ]
    print_table(("board", "serial", "end", ">s", ">exit"), rows)
    ends = Counter(result.passed for result in results)
    print(f"{ends[True]} of {len(results)} boards have it" + (f", {ends[False]} failed" if ends[False] else ""))  # noqa: T201


def _print_json(record: dict[str, object]) -> None:
    print(json.dumps(record), flush=True)  # noqa: T201 - this is the face


def _text(event: FlashEvent) -> str:
    if event.error is not None:
        return f"{event.step.value}: {event.error}"
    if event.progress is None:
        return event.step.value
    p = event.progress
    left = "" if p.eta_s is None else f", {p.eta_s:.0f} s left"
    retries = f", {p.retries} frames again" if p.retries else ""
    return (
        f"{_share(p):4.0%} {event.step.value} {p.bytes_done / 1024:.0f}/{p.bytes_total / 1024:.0f} KiB,"
        f" {p.wire_bytes / 1024:.0f} KiB on the wire, {p.rate_bytes_s / 1000:.1f} kB/s{left}{retries}"
    )


def _share(progress: TransferProgress) -> float:
    return progress.bytes_done / progress.bytes_total if progress.bytes_total else 1.0


def _as_record(event: FlashEvent) -> dict[str, object]:
    record: dict[str, object] = {
        "event": "step",
        "board": event.board,
        "serial": event.serial,
        "step": event.step.value,
    }
    if event.progress is not None:
        p = event.progress
        record |= {
            "event": "progress", "bytes_done": p.bytes_done, "bytes_total": p.bytes_total, "wire_bytes": p.wire_bytes,
            "rate_bytes_s": round(p.rate_bytes_s, 1), "eta_s": None if p.eta_s is None else round(p.eta_s, 2),
            "retries": p.retries,
        }  # fmt: skip
    if event.error is not None:
        record["error"] = str(event.error)
    return record


def _end_record(result: FlashResult, code: int) -> dict[str, object]:
    return {
        "event": "end", "board": result.board, "serial": result.serial, "passed": result.passed, "exit_code": code,
        "slot": result.slot, "digest": result.digest, "seconds": round(result.seconds, 3), "attempts": result.attempts,
        "error": None if result.error is None else str(result.error),
    }  # fmt: skip
