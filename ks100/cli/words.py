"""Text for terminals of any width: what is too long is cut where it hurts least, never inside a number or a name."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TextIO

__all__ = ["shortened", "terminal_width", "wrapped"]


def shortened(text: str, width: int) -> str:
    """Return ``text`` in at most ``width`` columns: a path keeps its end, a sentence its beginning."""
    if len(text) <= width:
        return text
    scheme, colon, rest = text.partition(":")
    if colon and "/" in rest and " " not in text:
        rest = rest.partition("?")[0]
        head = f"{scheme}:…/"
        parts = rest.rstrip("/").split("/")
        while len(parts) > 1 and len(head) + len("/".join(parts)) > width:
            parts = parts[1:]
        tail = "/".join(parts)
        return head + tail if len(head) + len(tail) <= width else "…" + tail[-max(0, width - 1) :]
    room = max(0, width - 1)
    cut = text[:room].rpartition(" ")[0]
    return (cut if len(cut) > room // 2 else text[:room]) + "…"


def wrapped(text: str, stream: TextIO | None = None, *, indent: str = "  ") -> str:
    """Return ``text`` broken between words for a terminal; in one line when ``stream`` is none."""
    width = terminal_width(stream)
    if not width:
        return text
    return textwrap.fill(text, max(20, width), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def terminal_width(stream: TextIO | None = None) -> int:
    """Return how many columns a stream's terminal has; 0 when it is none: a file and a pipe have no width."""
    stream = sys.stdout if stream is None else stream
    if not stream.isatty():
        return 0
    return shutil.get_terminal_size().columns - 1
