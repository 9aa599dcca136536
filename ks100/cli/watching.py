"""Showing something that changes: drawn anew in place on a terminal, printed when it differs elsewhere."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TextIO

from ks100.cli.words import shortened

__all__ = ["Screen", "changes"]

_POLL_S = 0.5


class Screen:
    """A part of a terminal that is drawn anew; a context manager."""

    def __init__(self, stream: TextIO) -> None:
        """Draw to ``stream``; where it is no terminal, or one that can do nothing but lines, it gets lines."""
        self._stream = stream
        self._in_place = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._shown: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stream.flush()

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines in place of the last ones; the first is a title, which alone is no news."""
        if self._in_place:
            size = shutil.get_terminal_size()
            rows = [shortened(line, size.columns - 1) for line in lines[: size.lines - 1]]
            self._stream.write("\x1b[H\x1b[2J" + "\n".join(rows) + "\n")
        elif list(lines[1:]) != self._shown[1:]:
            self._stream.write("\n".join(lines) + "\n")
        self._shown = list(lines)
        self._stream.flush()


def changes(again_s: float) -> Iterator[None]:
    """Yield at once, then whenever a port is plugged in or unplugged, and at least every ``again_s`` seconds."""
    monitor = _monitor()
    while True:
        yield
        deadline_s = time.monotonic() + again_s
        while time.monotonic() < deadline_s:
            if monitor is None:
                time.sleep(_POLL_S)
            elif monitor.poll(_POLL_S) is not None:
                time.sleep(_POLL_S)  # udev is still making names
                break


def _monitor() -> Any:
    """Return udev's monitor of ports, or None where there is no udev: then the time alone decides."""
    try:
        import pyudev

        monitor = pyudev.Monitor.from_netlink(pyudev.Context())
        monitor.filter_by("tty")
        monitor.start()
    except (ImportError, OSError):
        return None
    return monitor
