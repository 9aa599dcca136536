"""However a run ends, its results say so, its JUnit file is there, its fixtures are torn down and its board is free."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from hil.errors import ResultsError, SuiteError
from hil.measurements.results import HilResults, SuiteVerdict
from hil.measurements.results_folder import hold_results
from hil.suite_runner import run_suite
from ks100.cli.main import code_of
from ks100.errors import ExitCode
from tests.hil.test_hil_plugin import LEAN, PYTEST_INTERRUPTED, run_pytest

OWN = """
import pathlib, shutil, time
import pytest

@pytest.fixture(scope="session")
def held():
    yield
    pathlib.Path("released").touch()

def test_first(ks_record):
    pass

@pytest.mark.ks_figures("my_figure")
def test_long(ks_record, held):
    pathlib.Path("began").touch()
    time.sleep(60)

def test_last(ks_record):
    pass
"""
ARGUMENTS = ("-q", "--ks-board", "emu:", "--ks-results", "out")


def begun(folder: Path, command: list[str]) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    until((folder / "began").exists)
    return process


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def pytest_command(folder: Path) -> list[str]:
    settings = [*LEAN, "-c", os.devnull, f"--rootdir={folder}"]
    return [sys.executable, "-m", "pytest", *settings, *ARGUMENTS]


def said_incomplete(folder: Path, why: str) -> HilResults:
    results = HilResults.load(folder)
    assert results.verdict is SuiteVerdict.INCOMPLETE
    assert why in results.stopped
    assert results.not_run == ("test_own::test_long", "test_own::test_last")
    assert results.missing == ("my_figure",)
    cases = ET.parse(folder / "junit.xml").getroot().iter("testcase")
    errors = [case.get("name") for case in cases if case.find("error") is not None]
    assert errors == ["test_long", "test_last"]
    return results


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_tears_down_and_leaves_incomplete_results(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "test_own.py").write_text(OWN)
    with begun(tmp_path, pytest_command(tmp_path)) as process:
        process.send_signal(number)
        assert process.wait(60) == PYTEST_INTERRUPTED
    said_incomplete(tmp_path / "out", number.name)
    assert (tmp_path / "released").exists()


def test_a_killed_run_left_incomplete_results_behind_and_its_folder_is_free(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(OWN)
    with begun(tmp_path, pytest_command(tmp_path)) as process:
        with pytest.raises(SuiteError, match=rf"in use by process {process.pid} of .* since"):
            hold_results(tmp_path / "out", "another").__enter__()
        process.kill()
        process.wait(60)
    said_incomplete(tmp_path / "out", "")
    with hold_results(tmp_path / "out", "another"):
        pass


def test_a_results_folder_that_breaks_during_the_run_ends_it_in_one_line(tmp_path: Path) -> None:
    broken = 'pathlib.Path("began").touch()\n    shutil.rmtree("out"); pathlib.Path("out").touch(); return'
    (tmp_path / "test_own.py").write_text(OWN.replace('pathlib.Path("began").touch()', broken))
    code, output = run_pytest(tmp_path, *ARGUMENTS)
    assert code == PYTEST_INTERRUPTED
    assert "the results cannot be kept: cannot write out/results.json" in output
    assert "INCOMPLETE" in output
    assert "INTERNALERROR" not in output
    assert (tmp_path / "released").exists()


def test_a_results_folder_that_cannot_be_written_is_a_fault_of_the_bench(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ResultsError, match=r"results cannot be written to .*file/out: Not a directory") as caught:
        run_suite("emu:", tmp_path / "p.ksm", results_dir=tmp_path / "file" / "out")
    assert code_of(caught.value) is ExitCode.BOARD_FAULT


RUNNER = """
import hil.suite_runner, pathlib, sys
hil.suite_runner.hil.suite.__file__ = str(pathlib.Path("suite/__init__.py").resolve())
from ks100.cli.stops import stop_on_signals
if sys.argv[1] == "unwinds":
    stop_on_signals()
hil.suite_runner.run_suite("emu:", pathlib.Path("p.ksm"), results_dir=pathlib.Path("out"))
"""
SUITE = OWN.replace("import pytest", "import pytest\nHERE = pathlib.Path(__file__).parent.parent")
for name in ("began", "released"):
    SUITE = SUITE.replace(f'pathlib.Path("{name}")', f'(HERE / "{name}")')


@pytest.mark.parametrize(("how", "number"), [("unwinds", signal.SIGTERM), ("dies", signal.SIGKILL)])
def test_the_suites_process_ends_with_the_one_that_started_it(tmp_path: Path, how: str, number: signal.Signals) -> None:
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "test_own.py").write_text(SUITE)
    (tmp_path / "p.ksm").touch()
    (tmp_path / "runner.py").write_text(RUNNER)
    with begun(tmp_path, [sys.executable, "runner.py", how]) as process:
        process.send_signal(number)
        process.wait(60)
        until((tmp_path / "released").exists)
    until(lambda: _free(tmp_path / "out"))
    said_incomplete(tmp_path / "out", "SIG")


def test_a_suite_that_is_killed_under_its_runner_is_incomplete_and_says_by_what(tmp_path: Path) -> None:
    (tmp_path / "suite").mkdir()
    killing = "import os; os.kill(os.getpid(), 9)"
    (tmp_path / "suite" / "test_own.py").write_text(SUITE.replace("time.sleep(60)", killing))
    (tmp_path / "p.ksm").touch()
    (tmp_path / "runner.py").write_text(RUNNER)
    with begun(tmp_path, [sys.executable, "runner.py", "dies"]) as process:
        assert process.wait(60) == 0
    said_incomplete(tmp_path / "out", "SIGKILL; out of memory?")


def _free(folder: Path) -> bool:
    try:
        with hold_results(folder, "test"):
            return True
    except SuiteError:
        return False
