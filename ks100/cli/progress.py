"""Progress for people: a live bar on a terminal, a plain line now and then elsewhere. Writes to standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ks100.run import Progress

__all__ = ["progress_bar"]

_PLAIN_EVERY_S = 10.0


@contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """Show the progress of one long piece of work; yields the callback that it calls."""
    if sys.stderr.isatty():
        yield from _live(title)
    else:
        yield _Plain(title)


def _live(title: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=28), TextColumn("{task.fields[text]}"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(title, total=1.0, text="")
        yield lambda share, text: bars.update(task, completed=share, text=text)


class _Plain:
    def __init__(self, title: str) -> None:
        self._title = title
        self._next_s = time.monotonic() + _PLAIN_EVERY_S

    def __call__(self, share: float, text: str) -> None:
        now = time.monotonic()
        if now >= self._next_s:
            self._next_s = now + _PLAIN_EVERY_S
            print(f"      {self._title}: {share:4.0%}  {text}", file=sys.stderr, flush=True)  # noqa: T201
