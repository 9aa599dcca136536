"""Progress on standard error: a live bar on a terminal, occasional plain lines elsewhere.

Native libraries write messages to the same descriptor; while a bar is shown, these go to a temporary file.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from models.progress import Progress

__all__ = ["progress_bar"]

_PLAIN_EVERY_S = 10.0


@contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """Show the progress of long work; yields its callback."""
    with _native_remarks_aside() as stream:
        if stream.isatty():
            yield from _live(title, stream)
        else:
            yield _Plain(title, stream)


@contextmanager
def _native_remarks_aside() -> Iterator[TextIO]:
    """Redirect descriptor 2 to a temporary file; yields a stream to its former target."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as aside, os.fdopen(kept, "w", encoding="utf-8", errors="replace") as stream:
        os.dup2(aside.fileno(), 2)
        try:
            yield stream
        finally:
            sys.stderr.flush()
            stream.flush()
            os.dup2(kept, 2)


def _live(title: str, stream: TextIO) -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=28), TextColumn("{task.fields[text]}"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(file=stream), transient=True) as bars:
        task = bars.add_task(title, total=1.0, text="")
        yield lambda share, text: bars.update(task, completed=share, text=text)


class _Plain:
    def __init__(self, title: str, stream: TextIO) -> None:
        self._title = title
        self._stream = stream
        self._next_s = time.monotonic() + _PLAIN_EVERY_S

    def __call__(self, share: float, text: str) -> None:
        now = time.monotonic()
        if now >= self._next_s:
            self._next_s = now + _PLAIN_EVERY_S
            print(f"      {self._title}: {share:4.0%}  {text}", file=self._stream, flush=True)
