"""The pytest plugin of the hardware-in-the-loop suite: options, markers, and how each test's end is recorded.

Without ``--ks-board`` it changes nothing of a test run. With it, results go to ``results.json`` in ``--ks-results``
after every test, and the figures are shown at the end. Pytest's own exit codes stay. The fixtures are in
`hil.plugin.fixtures`; they may be used by tests of one's own::

    def test_my_limit(ks_installed, ks_board, ks_record):
        ks_record.require(ks_record.figure("my_figure", 1.0, "ms", limit=Limit(high=2.0)))
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from hil.plugin.stash import RECORDER, REQUEST

if TYPE_CHECKING:
    from hil.checks.suite_request import SuiteRequest
    from hil.measurements.recorder import Recorder
    from hil.measurements.results import Outcome
    from hil.measurements.setup import PlannedCheck

pytest_plugins = ("hil.plugin.fixtures",)

_PATHS = {
    "package": "the signed package (.ksm) to install and measure",
    "trust": "the signed trust store; trust.ksr beside the package if not given",
    "captures": "folder of hard-case captures; without it accuracy and parity on real frames are skipped",
    "results": "folder for results.json and junit.xml",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ``--ks-*`` options and the ini values of the same names."""
    group = parser.getgroup("ks100", "KS-100 boards")
    group.addoption("--ks-board", metavar="URL", help="the board: emu:, ssh://user@host, serial:///dev/..?baud=921600")
    for name, text in _PATHS.items():
        group.addoption(f"--ks-{name}", metavar="PATH", help=text)
    group.addoption(
        "--ks-profile", metavar="NAME|FILE.toml", help="the board's profile; by default that of the kind it names"
    )
    group.addoption(
        "--ks-frames", type=int, metavar="N", help="most captures to run on the board; by the link's speed if not given"
    )
    group.addoption("--ks-loop", type=int, default=600, metavar="N", help="counted frames of the paced loop (600)")
    group.addoption(
        "--ks-refuse", action="append", default=[], metavar="REASON=FILE",
        help="a package that the board must refuse for this reason, e.g. rollback=old.ksm; repeatable",
    )  # fmt: skip
    for name in ("board", "profile", *_PATHS):
        parser.addini(f"ks_{name}", f"default of --ks-{name}")


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; with a board given, check the request and start recording."""
    config.addinivalue_line(
        "markers", "ks_needs(*what): needs 'package', 'captures' or 'refuse' to be given; else skipped"
    )
    config.addinivalue_line("markers", "ks_figures(*names): the figures that a check promises; else they are MISSING")
    board = _option(config, "board")
    if board is None:
        return
    request = _request(config, board)
    recorder = _recorder(request)
    config.stash[REQUEST] = request
    config.stash[RECORDER] = recorder
    config.pluginmanager.register(_Recording(recorder, request), "ks100-recording")


def _option(config: pytest.Config, name: str) -> str | None:
    value = config.getoption(f"--ks-{name}")
    if value:
        return str(value)
    default = str(config.getini(f"ks_{name}"))
    if not default:
        return None
    # A path in an ini file is meant from that file, not from where pytest was started.
    is_path = name in _PATHS or (name == "profile" and default.endswith(".toml"))
    return str((config.inipath or config.rootpath).parent / default) if is_path else default


def _request(config: pytest.Config, board: str) -> SuiteRequest:
    from hil.checks.suite_request import SuiteRequest, parse_refuse
    from hil.errors import SuiteError

    if config.getoption("numprocesses", None) or hasattr(config, "workerinput"):
        raise pytest.UsageError("--ks-board runs in one process, since a board has one writer; leave out -n")
    paths = {name: None if (text := _option(config, name)) is None else Path(text) for name in _PATHS}
    try:
        refuse = tuple(parse_refuse(text) for text in config.getoption("--ks-refuse"))
        frames, loop = config.getoption("--ks-frames"), config.getoption("--ks-loop")
        return SuiteRequest(
            board,
            paths["package"],
            paths["trust"],
            paths["captures"],
            paths["results"],
            _option(config, "profile"),
            frames,
            loop,
            refuse=refuse,
        ).checked()
    except SuiteError as error:
        raise pytest.UsageError(str(error)) from error


def _recorder(request: SuiteRequest) -> Recorder:
    from hil.boards import host_name
    from hil.measurements.recorder import Recorder, event_writer
    from hil.measurements.results import HilResults
    from hil.measurements.setup import HostFacts

    host = HostFacts.here(host_name())
    results = HilResults(request.board, request.link, time.time(), options=request.described(), host=host)
    return Recorder(results, request.results, event_writer())


class _Recording:
    """The hooks of a run with a board."""

    def __init__(self, recorder: Recorder, request: SuiteRequest) -> None:
        self._recorder = recorder
        self._request = request
        self._folder = ExitStack()  # holds the results folder
        self._seconds: dict[str, float] = {}
        self._worst: dict[str, tuple[Outcome, str, str]] = {}
        self._titles: dict[str, str] = {}
        self._wanted = True  # whether this run is about a board; one whose collection fails is

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._recorder.total = len(session.items)
        if not session.testsfailed:
            listed = session.config.getoption("collectonly", False)
            self._wanted = not listed and any(_uses_board(item) for item in session.items)
        if self._wanted:
            self._begin(session.items)

    def _begin(self, items: list[pytest.Item]) -> None:
        from hil.errors import HilError
        from hil.plugin.endings import end_on_signals, end_with_parent

        try:
            self._hold()
            self._keep(lambda: self._recorder.plan(_planned(item, self._request) for item in items))
        except HilError as error:
            raise pytest.UsageError(str(error)) from error
        end_on_signals()
        end_with_parent()

    def _hold(self) -> None:
        from hil.measurements.results_folder import LOCK_VARIABLE, hold_results

        folder, host = self._recorder.folder, self._recorder.results.host
        if folder is not None and LOCK_VARIABLE not in os.environ:  # else who started this process holds it
            self._folder.enter_context(hold_results(folder, "" if host is None else host.name))

    def _keep(self, record: Callable[[], None]) -> None:
        """Do what writes the results, then the JUnit file beside them; a disk that takes neither ends the run.

        Raises:
            ResultsError: they cannot be written.
        """
        from firmware_bridge.errors import InputError
        from hil.errors import ResultsError
        from hil.report.junit import JUNIT_FILE, write_results_junit

        try:
            record()
            if self._recorder.folder is not None:
                write_results_junit(self._recorder.results, self._recorder.folder / JUNIT_FILE)
        except (InputError, OSError) as error:
            text = f"the results cannot be kept: {error}"
            self._recorder.stopped(text)
            raise ResultsError(text) from error

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        if not isinstance(excinfo.value, pytest.Session.Interrupted):  # a collection that failed was not stopped
            self._recorder.stopped(str(excinfo.value) or "SIGINT")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[Any]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
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
        return report

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
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

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        from hil.errors import ResultsError

        if self._wanted:
            # Nothing is left to stop; what the folder holds says that the run is INCOMPLETE.
            with suppress(ResultsError):
                self._keep(lambda: self._recorder.finish(int(exitstatus)))
        self._folder.close()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
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
    possible = all(given[name] is not None for name in given if name in fixtures)
    figures = tuple(str(name) for marker in item.iter_markers("ks_figures") for name in marker.args)
    return PlannedCheck(_check_name(item.nodeid), figures if possible else ())


def _title(item: pytest.Item) -> str:
    """Return the promise in words: the function's name, and what it was tried with."""
    name = getattr(item, "originalname", None) or item.name
    words = str(name).removeprefix("test_").replace("_", " ")
    tried = getattr(getattr(item, "callspec", None), "id", "")
    return f"{words}: {tried}" if tried else words
