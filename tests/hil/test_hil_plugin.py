"""The plugin: silent without a board, clear about what is missing, and pytest's own exit codes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PYTEST_OK, PYTEST_FAILED, PYTEST_INTERRUPTED, WRONG_REQUEST = 0, 1, 2, 2

# Loading the plugin of hypothesis takes longer than everything else that these runs do.
LEAN = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")


def run_pytest(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run pytest as a user does, in a folder of its own; return its exit code and output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", *LEAN, "-c", os.devnull, f"--rootdir={folder}"]
    done = subprocess.run(
        [*command, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=110, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_without_a_board_the_suite_skips_and_says_how_to_give_one(tmp_path: Path) -> None:
    code, output = run_pytest(tmp_path, "--pyargs", "hil.suite", "-rs", "-q")
    assert code == PYTEST_OK
    assert "give one with --ks-board" in output
    assert "passed" not in output
    assert "KS-100" not in output


def test_without_a_board_other_tests_run_as_ever(tmp_path: Path) -> None:
    (tmp_path / "test_plain.py").write_text("def test_plain():\n    assert 1 + 1 == 2\n")
    code, output = run_pytest(tmp_path, "-q", "-W", "error")
    assert (code, "1 passed" in output) == (PYTEST_OK, True)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == ["test_plain.py"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--ks-package", "nosuch.ksm"), "--ks-package nosuch.ksm: there is no such file"),
        (("--ks-captures", "nosuch"), "--ks-captures nosuch: there is no such file"),
        (("--ks-refuse", "rollback"), "is not REASON=FILE"),
        (("--ks-refuse", "nonsense=x.ksm"), "'nonsense' is not a reason"),
        (("--ks-loop", "0"), "--ks-loop and --ks-frames must be at least 1"),
        (("-n", "2"), "a board has one writer"),
        (("--ks-board", "emu:"), "2 boards need a process each: add -n 2"),
        (("--ks-wait", "soon"), "--ks-wait 'soon' is not a duration"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_code_2(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    code, output = run_pytest(tmp_path, "--ks-board", "emu:", *arguments)
    assert code == WRONG_REQUEST
    assert [line for line in output.splitlines() if line] == [line for line in output.splitlines() if said in line]
    assert "Traceback" not in output


NOTHING_OF_THE_BOARD = {
    "listed": ("--collect-only",),
    "not selected": ("-k", "plain"),
    "deselected": ("--deselect", "m.py::test_b"),
}


@pytest.mark.parametrize("how", NOTHING_OF_THE_BOARD)
def test_a_run_that_asks_nothing_of_the_board_gives_no_verdict_on_it(tmp_path: Path, how: str) -> None:
    (tmp_path / "m.py").write_text("def test_b(ks_board):\n    assert ks_board\n\n\ndef test_plain():\n    pass\n")
    code, output = run_pytest(tmp_path, "m.py", "--ks-board", "emu:", "--ks-results", "r", *NOTHING_OF_THE_BOARD[how])
    assert code == PYTEST_OK
    assert "KS-100" not in output.replace("KS-100 board: emu:", ""), "only the header names the board"
    assert not (tmp_path / "r").exists()


def test_a_collection_that_fails_is_still_a_fault_of_the_bench(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("import no_such_module\n")
    code, output = run_pytest(tmp_path, "m.py", "--ks-board", "emu:")
    assert code == PYTEST_INTERRUPTED
    assert "board or bench fault" in output


def test_checks_that_were_all_skipped_before_the_board_was_opened_break_no_board(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("def test_p(ks_package):\n    assert ks_package\n")
    code, output = run_pytest(tmp_path, "m.py", "--ks-board", "emu:")
    assert (code, "(no board): inconclusive" in output) == (PYTEST_OK, True)
