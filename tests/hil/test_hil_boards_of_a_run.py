"""Which board a run is about: by name, busy, dead, or one of a pool; and what a run of a board leaves out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hil.checks.free_board import open_free_board
from hil.measurements.results import HilResults, SuiteVerdict
from hil.virtual.emulated import EmulatedBoard
from tests.hil.test_hil_endings import RUNNER, SUITE, until
from tests.hil.test_hil_plugin import PYTEST_OK, WRONG_REQUEST, run_pytest

FAULT = 3
INVENTORY = "targets:\n  bench-1:\n    resources:\n      KS100Board: {{url: '{one}'}}\n"
ASKS = "def test_asks(ks_board):\n    assert ks_board.info().serial\n"


def test_a_wrong_name_is_one_line_and_exit_2(tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text(INVENTORY.format(one="emu:"))
    (tmp_path / "test_own.py").write_text(ASKS)
    code, output = run_pytest(tmp_path, "--ks-board", "bench-2", "--ks-inventory", "lab.yaml")
    assert code == WRONG_REQUEST
    assert output.strip() == "Exit: lab.yaml has no board 'bench-2'; did you mean bench-1?"


def test_a_dead_board_is_an_error_and_exit_3_under_plain_pytest(tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text(INVENTORY.format(one="serial:///dev/no-such-port"))
    (tmp_path / "test_own.py").write_text(ASKS + "\n\ndef test_other():\n    assert False\n")
    code, output = run_pytest(
        tmp_path, "--ks-board", "bench-1", "--ks-inventory", "lab.yaml", "--ks-results", "out", "-rA"
    )
    assert code == FAULT
    assert "ERROR test_own.py::test_asks" in output
    assert "there is no serial port /dev/no-such-port" in output
    assert HilResults.load(tmp_path / "out").verdict is SuiteVerdict.FAULT


def test_a_busy_board_is_waited_for_and_its_holder_and_job_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "test_own.py").write_text(ASKS)
    monkeypatch.setenv("CI_JOB_URL", "https://lab.example/jobs/17")
    with EmulatedBoard.start(tmp_path / "board") as board:
        arguments = ("--ks-board", board.ssh_url, "-s")
        with open_free_board(board.ssh_url), (tmp_path / "log").open("wb") as log:
            code, output = run_pytest(tmp_path, *arguments)
            assert code == FAULT
            assert "in use by" in output
            assert "job https://lab.example/jobs/17" in output
            waits = subprocess.Popen(
                [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, "--ks-wait", "2m"],
                cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
            until(lambda: "waiting for ssh://" in (tmp_path / "log").read_text())
            assert "job https://lab.example/jobs/17" in (tmp_path / "log").read_text()
        assert waits.wait(60) == PYTEST_OK


POOL = """
import pytest

@pytest.mark.parametrize("n", range(6))
def test_asks(ks_board, n):
    assert ks_board.info().serial.startswith("POOL")
"""


def test_each_worker_of_a_pool_has_a_board_of_its_own_and_each_test_says_on_which_it_ran(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(POOL)
    with EmulatedBoard.start(tmp_path / "a", serial_number="POOL1") as one, \
         EmulatedBoard.start(tmp_path / "b", serial_number="POOL2") as two:  # fmt: skip
        lab = (
            INVENTORY.format(one=one.ssh_url)
            + f"  bench-2:\n    resources:\n      KS100Board: {{url: '{two.ssh_url}'}}\n"
        )
        (tmp_path / "lab.yaml").write_text(lab)
        code, output = run_pytest(
            tmp_path, "-n", "2", "--dist", "each", "--ks-inventory", "lab.yaml", "--ks-board", "bench-1",
            "--ks-board", "bench-2", "--ks-results", "out",
        )  # fmt: skip
    assert code == PYTEST_OK, output
    assert "KS-100 bench-1, ks100 POOL1: 6 tests" in output
    assert "KS-100 bench-2, ks100 POOL2: 6 tests" in output
    found = [HilResults.load(tmp_path / "out" / name) for name in ("1-bench-1", "2-bench-2")]
    assert [run.board.serial for run in found if run.board] == ["POOL1", "POOL2"]
    assert {run.verdict for run in found} == {SuiteVerdict.PASS}


CHOSEN = """
import pytest

@pytest.mark.ks_needs("captures")
@pytest.mark.ks_figures("of_captures")
def test_needs(ks_record):
    raise SystemError("it ran")

@pytest.mark.ks_tier("release")
def test_release(ks_record):
    raise SystemError("it ran")

def test_always(ks_record):
    pass
"""


def test_a_run_leaves_out_what_lacks_its_needs_or_belongs_to_a_higher_tier(tmp_path: Path) -> None:
    (tmp_path / "test_own.py").write_text(CHOSEN)
    code, output = run_pytest(tmp_path, "--ks-board", "emu:", "--ks-tier", "smoke", "--ks-results", "out", "-rs")
    assert code == PYTEST_OK
    assert "1 passed, 1 skipped, 1 deselected" in output
    assert "give a folder of hard cases with --ks-captures" in output
    assert HilResults.load(tmp_path / "out").missing == ()
    (tmp_path / "test_own.py").write_text(CHOSEN.replace('"captures")', '"coffee")'))
    code, output = run_pytest(tmp_path, "--ks-board", "emu:")
    assert code == WRONG_REQUEST
    assert "ks_needs('coffee') is unknown; known are package, trust, captures, refuse" in output


def test_a_run_in_the_background_of_a_shell_still_ends_its_suite_by_an_interrupt(tmp_path: Path) -> None:
    (tmp_path / "suite").mkdir()
    (tmp_path / "suite" / "test_own.py").write_text(SUITE)
    (tmp_path / "p.ksm").touch()
    (tmp_path / "runner.py").write_text(RUNNER.replace('Path("out"))', 'Path("out"), timeout_s=6.0)'))
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.executable, sys.argv[1:])"
    )
    command = [sys.executable, "-c", ignoring, sys.executable, "runner.py", "dies"]
    done = subprocess.run(command, cwd=tmp_path, timeout=100, check=False)
    assert done.returncode == 0
    assert (tmp_path / "released").exists(), "the suite was killed, and its fixtures were not torn down"
    assert HilResults.load(tmp_path / "out").verdict is SuiteVerdict.INCOMPLETE
