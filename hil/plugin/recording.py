"""What pytest says of each test, recorded: its outcome, its figures, and on which board it ran."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest

from hil.plugin.options import WRONG_REQUEST
from hil.plugin.pool import BOARD_PROPERTY, FAULT, OUTCOME_PROPERTY
from hil.plugin.selection import deselect_above_tier, unmet_need

if TYPE_CHECKING:
    from hil.checks.suite_request import SuiteRequest
    from hil.measurements.recorder import Recorder
    from hil.measurements.results import Outcome
    from hil.measurements.setup import PlannedCheck

__all__ = ["Recording"]


class Recording:
    """The hooks of a run with a board."""

    def __init__(self, recorder: Recorder, request: SuiteRequest, *, in_pool: bool) -> None:
        """Record into ``recorder``; a process ``in_pool`` runs those tests that the pool hands out, and plans them."""
        self._recorder = recorder
        self._request = request
        self._in_pool = in_pool
        self._folder = ExitStack()  # holds the results folder
        self._seconds: dict[str, float] = {}
        self._worst: dict[str, tuple[Outcome, str, str]] = {}
        self._titles: dict[str, str] = {}
        self._items: dict[str, pytest.Item] = {}
        self._wanted = True  # whether this run is about a board; one whose collection fails is

    def pytest_report_header(self) -> str:
        """Say which board it is."""
        name, url = self._request.name, self._request.board
        return f"KS-100 board: {name if name in ('', url) else f'{name}, {url}'}" if name else f"KS-100 board: {url}"

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out what belongs to a higher tier."""
        deselect_above_tier(config, items, self._request.tier)

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip what needs more than was given."""
        reason = unmet_need(item, self._request)
        if reason:
            pytest.skip(reason)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Plan every check that shall run."""
        self._recorder.total = len(session.items)
        if not session.testsfailed:
            listed = session.config.getoption("collectonly", False)
            self._wanted = not listed and any(_uses_board(item) for item in session.items)
        if self._wanted:
            self._begin(session.items)

    def _begin(self, items: list[pytest.Item]) -> None:
        from hil.errors import HilError, SuiteError
        from hil.plugin.endings import end_on_signals, end_with_parent

        self._items = {item.nodeid: item for item in items}
        try:
            self._hold()
            planned = () if self._in_pool else tuple(_planned(item, self._request) for item in items)
            self._keep(lambda: self._recorder.plan(planned))
        except HilError as error:
            self._wanted = False  # the folder is another run's, or cannot be written
            pytest.exit(str(error), returncode=WRONG_REQUEST if isinstance(error, SuiteError) else FAULT)
        end_on_signals()
        end_with_parent()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """In a pool, plan a check when it is handed out to this board."""
        if self._wanted and self._in_pool:
            item, planned = self._items[nodeid], self._recorder.results.planned
            self._keep(lambda: self._recorder.plan((*planned, _planned(item, self._request))))

    def _hold(self) -> None:
        from hil.measurements.results_folder import LOCK_VARIABLE, hold_results

        folder, host = self._recorder.folder, self._recorder.results.host
        if folder is not None and LOCK_VARIABLE not in os.environ:  # else who started this process holds it
            self._folder.enter_context(hold_results(folder, "" if host is None else host.name))

    def _keep(self, record: Callable[[], None], *, last: bool = False) -> None:
        """Do what writes the results, then what is made from them; a disk that takes neither ends the run.

        Raises:
            ResultsError: they cannot be written.
        """
        from firmware_bridge.errors import InputError
        from hil.errors import ResultsError
        from hil.report.junit import JUNIT_FILE, write_results_junit
        from hil.report.run_report import write_run_report

        try:
            record()
            folder = self._recorder.folder
            if folder is not None:
                write_results_junit(self._recorder.results, folder / JUNIT_FILE)
            if folder is not None and last:
                write_run_report(
                    self._recorder.results, folder, package=self._request.package, captures=self._request.captures
                )
        except (InputError, OSError) as error:
            text = f"the results cannot be kept: {error}"
            self._recorder.stopped(text)
            raise ResultsError(text) from error

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Record why the run stops."""
        if not isinstance(excinfo.value, pytest.Session.Interrupted):  # a collection that failed was not stopped
            self._recorder.stopped(str(excinfo.value) or "SIGINT")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Read how a phase of a test ended."""
        from hil.plugin.outcomes import is_named, outcome_of

        report = yield
        self._titles[item.nodeid] = _title(item)
        self._seconds[item.nodeid] = self._seconds.get(item.nodeid, 0.0) + report.duration
        found = outcome_of(report, call.excinfo)
        if found is not None and (item.nodeid not in self._worst or report.when == "teardown"):
            self._worst[item.nodeid] = found
        if found is not None and report.failed and is_named(call.excinfo):
            # The line says it all: figure and limit, or whose fault it is and what to do. A traceback would bury it.
            report.longrepr = found[1]
        report.user_properties.append((BOARD_PROPERTY, self._board()))
        if found is not None:
            report.user_properties.append((OUTCOME_PROPERTY, found[0].value))
        return report

    def _board(self) -> str:
        info, name = self._recorder.results.board, self._request.name or self._request.board
        return name if info is None else f"{name}, {info.board} {info.serial}"

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Record how a test ended, and save."""
        from hil.errors import ResultsError
        from hil.measurements.results import Check, Outcome

        if not self._wanted:
            return
        outcome, message, detail = self._worst.get(nodeid, (Outcome.PASSED, "", ""))
        title = self._titles.get(nodeid, _check_name(nodeid))
        check = Check(_check_name(nodeid), title, outcome, self._seconds.get(nodeid, 0.0), message, detail)
        try:
            self._keep(lambda: self._recorder.check(check))
        except ResultsError as error:
            pytest.exit(str(error), returncode=int(pytest.ExitCode.INTERRUPTED))

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Save the whole; a fault of the board or the bench has an exit code of its own."""
        from hil.errors import ResultsError
        from hil.measurements.results import SuiteVerdict

        if self._wanted:
            # Nothing is left to stop; what the folder holds says that the run is INCOMPLETE.
            with suppress(ResultsError):
                self._keep(lambda: self._recorder.finish(int(exitstatus)), last=True)
            failed = exitstatus == int(pytest.ExitCode.TESTS_FAILED)
            if failed and not self._in_pool and self._recorder.results.verdict is SuiteVerdict.FAULT:
                session.exitstatus = FAULT
        self._folder.close()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show verdict and figures."""
        from hil.plugin.outcomes import figure_lines, open_lines

        if not self._wanted:  # nothing was asked of a board, so there is nothing to judge
            return
        results = self._recorder.results
        source = "no board" if results.source is None else results.source.value
        terminalreporter.section(f"KS-100 {results.url} ({source}): {results.verdict.value}")
        for line in (*figure_lines(results), *open_lines(results)):
            terminalreporter.write_line(line)


def _uses_board(item: pytest.Item) -> bool:
    return any(name.startswith("ks_") for name in getattr(item, "fixturenames", ()))


def _check_name(nodeid: str) -> str:
    return nodeid.rpartition("/")[2].replace(".py::", "::")


def _planned(item: pytest.Item, request: SuiteRequest) -> PlannedCheck:
    """Return a check with the figures that it promises, given what the run has."""
    from hil.measurements.setup import PlannedCheck

    given = {"ks_captures": request.captures, "ks_package": request.package}
    fixtures = getattr(item, "fixturenames", ())
    possible = all(given[name] is not None for name in given if name in fixtures) and not unmet_need(item, request)
    figures = tuple(str(name) for marker in item.iter_markers("ks_figures") for name in marker.args)
    return PlannedCheck(_check_name(item.nodeid), figures if possible else ())


def _title(item: pytest.Item) -> str:
    """Return the promise in words: the function's name, and what it was tried with."""
    name = getattr(item, "originalname", None) or item.name
    words = str(name).removeprefix("test_").replace("_", " ")
    tried = getattr(getattr(item, "callspec", None), "id", "")
    return f"{words}: {tried}" if tried else words
