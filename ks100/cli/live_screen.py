"""A live display: redrawn in place on a terminal, printed on change elsewhere."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TextIO

from ks100.cli.wrapping import shortened

__all__ = ["Screen", "changes"]

_POLL_S = 0.5


class Screen:
    """A region of a terminal that is redrawn; a context manager."""

    def __init__(self, stream: TextIO) -> None:
        """Draw to ``stream``; plain lines if it is not a terminal, or a dumb one."""
        self._stream = stream
        self._in_place = stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self._shown: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stream.flush()

    def draw(self, lines: Sequence[str]) -> None:
        """Replace the lines; a change of the title, the first line, alone is not printed."""
        if self._in_place:
            size = shutil.get_terminal_size()
            rows = [shortened(line, size.columns - 1) for line in lines[: size.lines - 1]]
            self._stream.write("\x1b[H\x1b[2J" + "\n".join(rows) + "\n")
        elif list(lines[1:]) != self._shown[1:]:
            self._stream.write("\n".join(lines) + "\n")
        self._shown = list(lines)
        self._stream.flush()


def changes(again_s: float) -> Iterator[None]:
    """Yield at once, then on each hot-plug event and at least every ``again_s`` seconds."""
    monitor = _monitor()
    while True:
        yield
        deadline_s = time.monotonic() + again_s
        while time.monotonic() < deadline_s:
            if monitor is None:
                time.sleep(_POLL_S)
            elif monitor.poll(_POLL_S) is not None:
                time.sleep(_POLL_S)  # udev is still creating names
                break


def _monitor() -> Any:
    """Return udev's monitor of ports, or None without udev."""
    try:
        import pyudev

        monitor = pyudev.Monitor.from_netlink(pyudev.Context())
        monitor.filter_by("tty")
        monitor.start()
    except (ImportError, OSError):
        return None
    return monitor
