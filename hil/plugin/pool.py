"""A pool of boards under pytest-xdist: each worker has a board of its own, and this process sums up what they say."""

from __future__ import annotations

from collections import defaultdict

import pytest

__all__ = ["BOARD_PROPERTY", "FAULT", "OUTCOME_PROPERTY", "Pool"]

BOARD_PROPERTY = "board"
"""Property of a test that names the board on which it ran, also in pytest's own JUnit file."""
OUTCOME_PROPERTY = "outcome"
"""Property of a test that did not pass: which of `hil.measurements.results.Outcome` it is."""
FAULT = 3
"""Exit code where a board or the bench broke, as ks100's own."""


class Pool:
    """The hooks of the process that hands the tests out."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self._tests: dict[str, dict[str, str]] = defaultdict(dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note where a test ran and how it ended."""
        said = dict(report.user_properties)
        board = said.get(BOARD_PROPERTY)
        if board is not None and (report.when == "call" or OUTCOME_PROPERTY in said):
            self._tests[str(board)].setdefault(report.nodeid, str(said.get(OUTCOME_PROPERTY, "passed")))

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """A board that broke has an exit code of its own."""
        outcomes = {outcome for tests in self._tests.values() for outcome in tests.values()}
        if exitstatus == int(pytest.ExitCode.TESTS_FAILED) and "error" in outcomes:
            session.exitstatus = FAULT

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say of each test on which board it ran."""
        for board, tests in sorted(self._tests.items()):
            terminalreporter.section(f"KS-100 {board}: {len(tests)} tests")
            for nodeid, outcome in tests.items():
                terminalreporter.write_line(f"{outcome:<12} {nodeid}")
