"""How the end of a pytest test is read, and how figures look on a terminal.

Whose fault it was decides the outcome: a limit or promise that does not hold is a failure; a board, link or bench that
breaks is an error, wherever in the test it happened; a package refused by trust is a rejection of its own.
"""

from __future__ import annotations

from typing import Any

import pytest

from firmware_bridge.errors import BridgeError, RejectedError
from hil.errors import HilError
from hil.measurements.recorder import InconclusiveError, LimitError
from hil.measurements.results import HilResults, Outcome
from models.errors import ModelsError

__all__ = ["figure_lines", "is_named", "open_lines", "outcome_of"]


def outcome_of(report: pytest.TestReport, excinfo: pytest.ExceptionInfo[Any] | None) -> tuple[Outcome, str, str] | None:
    """Return (outcome, one line, longer text) of one phase of a test, None if there is nothing to say of it."""
    if report.skipped:
        return Outcome.SKIPPED, _skip_reason(report), ""
    if not report.failed or excinfo is None:
        return None
    error = excinfo.value
    if isinstance(error, RejectedError):
        return Outcome.REJECTED, _one_line(str(error)), ""
    if isinstance(error, InconclusiveError):
        return Outcome.INCONCLUSIVE, _one_line(str(error)), ""
    if isinstance(error, (BridgeError, HilError, ModelsError)):
        return Outcome.ERROR, f"{type(error).__name__}: {_one_line(str(error))}", ""
    if report.when == "call" and isinstance(error, (AssertionError, pytest.fail.Exception)):
        return Outcome.FAILED, _one_line(str(error) or excinfo.exconly()), ""
    return Outcome.ERROR, _one_line(excinfo.exconly()), report.longreprtext


def is_named(excinfo: pytest.ExceptionInfo[Any] | None) -> bool:
    """Return whether the error is one of ours, whose one line needs no traceback."""
    ours = (BridgeError, HilError, ModelsError, LimitError, InconclusiveError)
    return excinfo is not None and excinfo.errisinstance(ours)


def figure_lines(results: HilResults) -> list[str]:
    """Return the figures as aligned lines: name, value, limit, verdict, basis."""
    if not results.measurements:
        return ["no figures were measured"]
    width = max(len(item.name) for item in results.measurements)
    lines = []
    for item in results.measurements:
        limit = "" if item.limit is None else f"limit {item.limit}"
        value = "INVALID" if item.invalid else f"{item.value:.4g} {'' if item.unit == '1' else item.unit}"
        lines.append(
            f"{item.name:<{width}}  {value:>16}  {limit:<16} {item.verdict.value:<12} {item.basis.value}, n {item.n}"
        )
    return lines


def open_lines(results: HilResults) -> list[str]:
    """Return what a run does not know: figures without a number, checks that did not run, why it stopped."""
    lines = [f"{item.name} is INVALID: {item.invalid}" for item in results.measurements if item.invalid]
    invalid = {item.name for item in results.measurements if item.invalid}
    missing = [name for name in results.missing if name not in invalid]
    lines += [f"MISSING: {', '.join(missing)}"] if missing else []
    lines += [f"not run: {', '.join(results.not_run)}"] if results.not_run else []
    return lines + ([f"stopped: {results.stopped}"] if results.stopped else [])


def _skip_reason(report: pytest.TestReport) -> str:
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return _one_line(reason.removeprefix("Skipped: "))


def _one_line(text: str) -> str:
    return " ".join(text.split())
