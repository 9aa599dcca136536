"""What every command's output has in common: one JSON document for scripts, and text that any terminal can show."""

from __future__ import annotations

import codecs
import errno
import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

__all__ = [
    "JSON_FLAG",
    "ForgivingFile",
    "forgive_closed_output",
    "json_option",
    "make_printable",
    "print_json",
]

_F = TypeVar("_F", bound=Callable[..., Any])

JSON_FLAG = "--json"
"""In every command it means: one JSON document on standard output, also for an error."""

_PLAIN = {
    "\N{EM DASH}": "-", "\N{EN DASH}": "-", "…": "...", "→": "->", "←": "<-", "≤": "<=", "≥": ">=", "±": "+-",
    "\N{MULTIPLICATION SIGN}": "x", "·": ".", "\N{MICRO SIGN}": "u", "\N{GREEK SMALL LETTER MU}": "u", "²": "2",
    "°": " deg", "Δ": "d", "\N{GREEK SMALL LETTER SIGMA}": "sigma", "━": "=", "─": "-", "│": "|", "╸": "-", "╺": "-",
    "•": "*", "Ω": "Ohm", "∞": "inf", "√": "sqrt",
}  # fmt: skip


def json_option(function: _F) -> _F:
    """Add ``--json`` (``as_json``)."""
    text = "Print one JSON document instead, an error too."
    return click.option(JSON_FLAG, "as_json", is_flag=True, help=text)(function)


def print_json(document: Mapping[str, object] | Sequence[object]) -> None:
    """Print a document in a form that does not depend on the locale."""
    click.echo(json.dumps(document, indent=1))


def make_printable() -> None:
    """Let what the terminal's encoding lacks come out as plain letters, never as an error."""
    codecs.register_error("ks100-plain", _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="ks100-plain")


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(_PLAIN.get(letter, "?") for letter in text), error.end


class _AsciiText(io.TextIOWrapper):
    """An ASCII stream. click takes one that says so for misconfigured, and writes UTF-8 past it."""

    @property
    def encoding(self) -> str:  # type: ignore[override]  # nobody sets it
        """What click and rich decide by."""
        return "latin-1"


class ForgivingFile(io.FileIO):
    """A descriptor whose reader may go: what is written then is dropped, since nobody wants it.

    Attributes:
        trouble: why something could not be written that somebody wanted, e.g. a full disk; None otherwise.
    """

    trouble: OSError | None = None
    _is_open = True

    def write(self, data: Buffer, /) -> int:
        """Write to the descriptor, or to nobody."""
        if self._is_open:
            try:
                return super().write(data) or 0
            except OSError as error:
                self._is_open = False
                if error.errno not in (errno.EPIPE, errno.EIO):  # head has seen enough; the terminal was closed
                    self.trouble = error
        return memoryview(data).nbytes


def forgive_closed_output() -> tuple[ForgivingFile, ...]:
    """Let commands finish what they do, and say by their exit code how it ended, when nobody reads their output."""
    files = []
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper) or stream.fileno() != descriptor:
            continue
        file = ForgivingFile(descriptor, "w", closefd=False)
        kind = _AsciiText if codecs.lookup(stream.encoding).name == "ascii" else io.TextIOWrapper
        text = kind(
            io.BufferedWriter(file), stream.encoding, stream.errors, line_buffering=name == "stderr" or stream.isatty()
        )
        setattr(sys, name, text)
        files.append(file)
    return tuple(files)
