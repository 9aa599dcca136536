"""Fitting text to the width of a terminal, without breaking numbers or names."""

from __future__ import annotations

import shutil
import sys
import textwrap
from typing import TextIO

__all__ = ["shortened", "terminal_width", "waived", "wrapped"]


def waived(reason: str) -> str:
    """Return the line that stands wherever a package with a waiver is shown."""
    return f"WAIVED: released without a passed gate: {reason}"


def shortened(text: str, width: int) -> str:
    """Shorten ``text`` to ``width`` columns: a path at its beginning, a sentence at its end."""
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
    """Wrap ``text`` for a terminal; a single line if ``stream`` is not one."""
    width = terminal_width(stream)
    if not width:
        return text
    return textwrap.fill(text, max(20, width), subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def terminal_width(stream: TextIO | None = None) -> int:
    """Return the columns of a stream's terminal; 0 for files and pipes."""
    stream = sys.stdout if stream is None else stream
    if not stream.isatty():
        return 0
    return shutil.get_terminal_size().columns - 1
