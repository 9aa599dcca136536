"""Output during flashing and at its end: a live table on a terminal, plain lines elsewhere, or JSON.

Progress goes to standard error, results to standard output. A failing display (a closed terminal, a broken pipe) does
not end the run: records are written first.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from ks100.cli.tables import print_table
from ks100.cli.wrapping import wrapped

if TYPE_CHECKING:
    from firmware_bridge.host.fleet import FlashEvent, FlashResult
    from firmware_bridge.host.transfer import TransferProgress

__all__ = ["FlashDisplay", "event_record", "open_display", "result_record", "show_ends", "summary_of"]

_PLAIN_EVERY_S = 1.0


class FlashDisplay(Protocol):
    """Shows the events of a fleet."""

    def show(self, event: FlashEvent) -> None:
        """Show one event."""
        ...


def open_display(boards: Iterable[str], *, events: bool) -> AbstractContextManager[FlashDisplay]:
    """Return the display for the type of output; it never raises."""
    if events:
        return _Unbreakable(_JsonLines())
    if sys.stderr.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        from ks100.cli.flash_table import FlashTable

        return _Unbreakable(FlashTable(boards))
    return _Unbreakable(_PlainLines())


class _Inner(FlashDisplay, AbstractContextManager[FlashDisplay], Protocol):
    pass


class _Unbreakable:
    """A display that is switched off when it fails."""

    def __init__(self, inner: _Inner) -> None:
        self._inner: _Inner | None = inner

    def __enter__(self) -> Self:
        self._guarded(lambda inner: inner.__enter__())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._guarded(lambda inner: inner.__exit__(None, None, None))

    def show(self, event: FlashEvent) -> None:
        self._guarded(lambda inner: inner.show(event))

    def _guarded(self, act: Callable[[_Inner], object]) -> None:
        if self._inner is None:
            return
        try:
            act(self._inner)
        except Exception:  # noqa: BLE001  # a terminal's fault must not stop the boards
            self._inner = None


class _Lines:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """Nothing to restore."""


class _JsonLines(_Lines):
    def show(self, event: FlashEvent) -> None:
        print(json.dumps(event_record(event)), flush=True)


class _PlainLines(_Lines):
    """A line per step of a board, and one per second during its push."""

    def __init__(self) -> None:
        self._shown_s: dict[str, float] = {}
        self._steps: dict[str, str] = {}

    def show(self, event: FlashEvent) -> None:
        now = time.monotonic()
        same_step = self._steps.get(event.board) == event.step.value
        if same_step and now - self._shown_s.get(event.board, 0) < _PLAIN_EVERY_S:
            return
        self._steps[event.board], self._shown_s[event.board] = event.step.value, now
        print(f"{event.board}  {_text(event)}", file=sys.stderr, flush=True)


def show_ends(results: Sequence[FlashResult], codes: Sequence[int]) -> None:
    """Show each board's outcome with its exit code, then errors, then the numbers of outcomes."""
    from rich.markup import escape

    rows = [
        (escape(r.board), escape(r.serial) or "-", r.outcome.value, r.slot or "-", f"{r.seconds:.1f}", str(code))
        for r, code in zip(results, codes, strict=True)
    ]
    print_table(("board", "serial", "end", "slot", ">s", ">exit"), rows)
    for result in results:
        for text in (*_failure(result), *([result.remark] if result.remark else [])):
            print(wrapped(f"{result.board}: {' '.join(text.split())}"))
    print(wrapped(summary_of(results)))


def _failure(result: FlashResult) -> tuple[str, ...]:
    if result.error is None:
        return ()
    done = "" if result.reached is None else f" (before that: {result.reached.value})"
    return (f"{result.error}{done}",)


def summary_of(results: Sequence[FlashResult]) -> str:
    """Return the number of boards by outcome."""
    ends = Counter(result.outcome.value for result in results if result.counts)
    boards = f"{sum(ends.values())} board{'s' if sum(ends.values()) != 1 else ''}"
    return f"{boards}: " + ", ".join(f"{count} {end}" for end, count in ends.most_common())


def _text(event: FlashEvent) -> str:
    if event.error is not None:
        return f"{event.step.value}: {event.error}"
    if event.progress is None:
        return event.step.value
    p = event.progress
    left = "" if p.eta_s is None else f", {p.eta_s:.0f} s left"
    retries = f", {p.retries} frames resent" if p.retries else ""
    return (
        f"{_fraction(p):4.0%} {event.step.value} {p.bytes_done / 1024:.0f}/{p.bytes_total / 1024:.0f} KiB,"
        f" {p.wire_bytes / 1024:.0f} KiB on the wire, {p.rate_bytes_s / 1000:.1f} kB/s{left}{retries}"
    )


def _fraction(progress: TransferProgress) -> float:
    return progress.bytes_done / progress.bytes_total if progress.bytes_total else 1.0


def event_record(event: FlashEvent) -> dict[str, object]:
    """Return an event as printed by `--events`."""
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


def result_record(result: FlashResult, code: int, url: str) -> dict[str, object]:
    """Return a board's outcome as printed by `--json`."""
    return {
        "board": result.board, "address": url, "serial": result.serial, "outcome": result.outcome.name.lower(),
        "reached": result.reached.name.lower() if result.reached else None, "passed": result.passed,
        "exit_code": code, "slot": result.slot, "digest": result.digest, "seconds": round(result.seconds, 3),
        "attempts": result.attempts, "error": None if result.error is None else str(result.error),
        "remark": result.remark or None,
    }  # fmt: skip
