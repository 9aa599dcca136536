"""Output of all commands: one JSON document for scripts, and text that any terminal can show."""

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
"""The option ``--json``: one JSON document on standard output, also for an error."""

_PLAIN = {
    "\N{EM DASH}": "-", "\N{EN DASH}": "-", "…": "...", "→": "->", "←": "<-", "≤": "<=", "≥": ">=", "±": "+-",
    "\N{MULTIPLICATION SIGN}": "x", "·": ".", "\N{MICRO SIGN}": "u", "\N{GREEK SMALL LETTER MU}": "u", "²": "2",
    "°": " deg", "Δ": "d", "\N{GREEK SMALL LETTER SIGMA}": "sigma", "━": "=", "─": "-", "│": "|", "╸": "-", "╺": "-",
    "•": "*", "Ω": "Ohm", "∞": "inf", "√": "sqrt",
}  # fmt: skip


def json_option(function: _F) -> _F:
    """Add ``--json`` (``as_json``)."""
    text = "Print one JSON document, also for errors."
    return click.option(JSON_FLAG, "as_json", is_flag=True, help=text)(function)


def print_json(document: Mapping[str, object] | Sequence[object]) -> None:
    """Print a JSON document, independent of the locale."""
    click.echo(json.dumps(document, indent=1))


def make_printable() -> None:
    """Replace characters that the terminal's encoding does not have, instead of failing."""
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
    """An ASCII stream. click regards an encoding of ASCII as a misconfiguration and writes UTF-8."""

    @property
    def encoding(self) -> str:  # type: ignore[override]  # never set
        """The encoding reported to click and rich."""
        return "latin-1"


class ForgivingFile(io.FileIO):
    """A descriptor whose reader may close it; later output is then dropped.

    Attributes:
        trouble: why output was lost, e.g. a full disk; None otherwise.
    """

    trouble: OSError | None = None
    _is_open = True

    def write(self, data: Buffer, /) -> int:
        """Write to the descriptor unless its reader has closed it."""
        if self._is_open:
            try:
                return super().write(data) or 0
            except OSError as error:
                self._is_open = False
                if error.errno not in (errno.EPIPE, errno.EIO):  # a closed pipe or terminal
                    self.trouble = error
        return memoryview(data).nbytes


def forgive_closed_output() -> tuple[ForgivingFile, ...]:
    """Let commands finish with the right exit code even if their output is closed."""
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
