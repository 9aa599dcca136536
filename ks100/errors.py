"""The top floor's errors, and the exit codes that they and those of the floors below map to.

    Ks100Error
    ├── UsageError     what the user asked for, or gave, is wrong
    └── CustodyError   a statement or the log does not prove what it should

`ks100.cli.main` is the only place that maps an error to a code.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, IntEnum

__all__ = ["CustodyError", "ExitCode", "Ks100Error", "UsageError", "gravest", "verdict_code"]


class ExitCode(IntEnum):
    """What the process tells its caller."""

    PASS = 0
    LIMIT_FAILED = 1
    USAGE = 2
    BOARD_FAULT = 3
    REJECTED = 4
    TRANSFER = 5
    INCONCLUSIVE = 6
    INTERNAL = 70  # a bug of ours, as in sysexits.h: never the user's, the board's or the package's fault
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


# Of several ends the exit code is that of the gravest: a refusal says something of the package itself.
_GRAVITY = (ExitCode.REJECTED, ExitCode.BOARD_FAULT, ExitCode.TRANSFER, ExitCode.USAGE, ExitCode.LIMIT_FAILED)


def gravest(codes: Iterable[int]) -> ExitCode:
    """Return the exit code for several boards of which each ended with its own."""
    failures = {code for code in codes if code != ExitCode.PASS}
    if not failures:
        return ExitCode.PASS
    return next((code for code in _GRAVITY if code in failures), ExitCode.INTERNAL)


class Ks100Error(Exception):
    """Base of every error that this floor raises; its text is one line that names what, where and what to do."""


class UsageError(Ks100Error):
    """What the user asked for, or gave, is wrong."""


class CustodyError(Ks100Error):
    """A statement or the log does not prove what it should."""
