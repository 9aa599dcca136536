"""Errors of this layer, and the exit codes of all layers.

    Ks100Error
    ├── UsageError     a wrong request or input of the user
    └── CustodyError   a statement or the log is not valid evidence

`ks100.cli.main` is the only place that maps an error to a code.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, IntEnum

__all__ = ["CustodyError", "ExitCode", "Ks100Error", "UsageError", "verdict_code", "worst_code"]


class ExitCode(IntEnum):
    """Exit codes of the process."""

    PASS = 0
    LIMIT_FAILED = 1
    USAGE = 2
    BOARD_FAULT = 3
    REJECTED = 4
    TRANSFER = 5
    INCONCLUSIVE = 6
    INTERNAL = 70  # a bug in this program, as in sysexits.h
    INTERRUPTED = 130  # as a shell reports SIGINT


_CODES = {
    "pass": ExitCode.PASS,
    "info": ExitCode.PASS,
    "fail": ExitCode.LIMIT_FAILED,
    "limit failed": ExitCode.LIMIT_FAILED,
    "rejected by trust": ExitCode.REJECTED,
    "board or bench fault": ExitCode.BOARD_FAULT,
    "inconclusive": ExitCode.INCONCLUSIVE,
    "invalid": ExitCode.INCONCLUSIVE,
    "incomplete": ExitCode.BOARD_FAULT,
}


def verdict_code(verdict: Enum) -> ExitCode:
    """Return the exit code of a verdict: a figure's, a gate's or a suite's."""
    return _CODES[verdict.value.lower()]


# Order of severity for several boards: a rejection concerns the package itself.
_GRAVITY = (ExitCode.REJECTED, ExitCode.BOARD_FAULT, ExitCode.TRANSFER, ExitCode.USAGE, ExitCode.LIMIT_FAILED)


def worst_code(codes: Iterable[int]) -> ExitCode:
    """Return the exit code for several boards, that of the worst outcome."""
    failures = {code for code in codes if code != ExitCode.PASS}
    if not failures:
        return ExitCode.PASS
    return next((code for code in _GRAVITY if code in failures), ExitCode.INTERNAL)


class Ks100Error(Exception):
    """Base of this layer's errors; the text is one line with the cause, the place and the remedy."""


class UsageError(Ks100Error):
    """A wrong request or input of the user."""


class CustodyError(Ks100Error):
    """A statement or the log is not valid evidence."""
