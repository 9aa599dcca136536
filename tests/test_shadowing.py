"""A folder of the user's that is called like one of our packages does no harm, or is named in one line."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("ks100", "hil", "models", "firmware_bridge")


def ran(folder: Path, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=variables | environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(params=["package", "folder"])
def taken(request: pytest.FixtureRequest, tmp_path: Path):
    """Take a name, by a package of the user's or by a plain folder, such as one with results."""

    def take(name: str) -> Path:
        (tmp_path / name).mkdir()
        if request.param == "package":
            (tmp_path / name / "__init__.py").write_text("print('executed by mistake')\n")
        return tmp_path / name

    return take


@pytest.mark.parametrize("name", PACKAGES)
def test_the_command_says_in_one_line_which_name_is_taken_by_what_and_how_to_help_it(taken, name: str) -> None:
    folder = taken(name)
    end = ran(folder.parent, "-m", "ks100_start", "--help")
    assert (end.returncode, end.stdout) == (2, "")
    assert end.stderr == (
        f"ks100: the name {name!r} is taken by {folder}, which Python finds before this toolkit's; start from another "
        "folder, rename it, or start Python with -P\n"
    )
    end = ran(ROOT.parent, "-P", "-m", "ks100_start", "--help", PYTHONPATH=str(folder.parent))
    assert end.returncode == 2
    assert f"rename it, or take {folder.parent} out of Python's path" in end.stderr


def test_with_safe_paths_the_current_folder_does_not_matter(taken) -> None:
    for name in PACKAGES:
        folder = taken(name)
    end = ran(folder.parent, "-P", "-m", "ks100_start", "--version")
    assert (end.returncode, end.stderr) == (0, "")


def test_the_python_interface_says_it_too(taken) -> None:
    folder = taken("models")
    end = ran(folder.parent, "-c", "import ks100; ks100.quantize")
    assert end.stderr.splitlines()[-1].startswith(f"ImportError: the name 'models' is taken by {folder}")


def test_a_test_run_of_somebody_else_goes_on_without_the_plugin_and_one_of_ours_ends_with_the_reason(taken) -> None:
    folder = taken("hil")
    (folder.parent / "test_own.py").write_text("def test_own(): pass\n")
    plain = ran(folder.parent, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    assert plain.returncode == 0, plain.stderr
    assert f"ks100: the plugin is off: the name 'hil' is taken by {folder}" in plain.stdout
    ours = ran(
        folder.parent, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:hypothesispytest", "--ks-board", "emu:"
    )
    assert ours.returncode == pytest.ExitCode.USAGE_ERROR
    assert ours.stderr.strip() == (
        f"ERROR: ks100: the name 'hil' is taken by {folder}, which Python finds before this toolkit's; start from "
        "another folder, rename it, or start Python with -P"
    )


def _commands(tree: ast.AST):
    """Yield the items of every list that begins with this Python."""
    for node in ast.walk(tree):
        if isinstance(node, ast.List):
            for at, item in enumerate(node.elts):
                if ast.unparse(item) == "sys.executable":
                    yield [ast.unparse(part) for part in node.elts[at:]]


def test_every_child_process_starts_without_the_current_folder_on_its_path() -> None:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    found = {path: list(_commands(ast.parse(path.read_bytes()))) for path in files}
    assert sum(map(len, found.values())) >= 6
    for path, commands in found.items():
        for command in commands:
            assert command[1] in ("'-P'", "'-I'"), f"{path}: {command[:4]}"


def test_an_emulated_board_runs_in_a_folder_with_our_names(taken) -> None:
    for name in PACKAGES:
        folder = taken(name)
    end = ran(folder.parent, "-P", "-m", "ks100_start", "boards", "info", "emu:")
    assert (end.returncode, end.stderr) == (0, "")
    assert "(EMULATED)" in end.stdout
