"""The face: exit codes, one line for each mistake, and a fast start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ks100.cli.extras import help_to_install
from ks100.cli.main import _COMMANDS, main

MISTAKES = {
    "an unknown command": (["nosuch"], 2, "nosuch"),
    "an unknown option": (["verify", "--nosuch"], 2, "nosuch"),
    "a missing package": (["verify", "nosuch.ksm"], 2, "nosuch.ksm"),
    "a missing graph": (["inspect", "nosuch.tflite"], 2, "nosuch.tflite"),
    "a missing capture folder": (["train", "--captures", "nosuch", "--out", "x"], 2, "nosuch"),
    "an address of no board": (["boards", "info", "ftp://x"], 2, "ftp"),
    "a serial port that is not there": (["boards", "info", "serial:///dev/nosuch"], 3, "/dev/nosuch"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_is_one_line_and_the_right_exit_code_for(mistake: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments, code, named = MISTAKES[mistake]
    assert main(arguments) == code
    error = capsys.readouterr().err
    assert error.startswith("ks100: ")
    assert error.count("\n") == 1
    assert named in error
    assert "Traceback" not in error


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in _COMMANDS)


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert "Usage:" in capsys.readouterr().out


def test_the_command_line_starts_without_heavy_libraries() -> None:
    heavy = {"tensorflow", "keras", "numpy", "paramiko", "matplotlib", "rich", "pytest"}
    code = "import sys, ks100.cli.main as m; m.main(['--help']); sys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert heavy.isdisjoint(done.stderr.split())


def test_only_what_trains_or_quantizes_waits_for_tensorflow() -> None:
    code = (
        "import importlib, pkgutil, sys, ks100.cli, ks100.steps\n"
        "for package in (ks100.cli, ks100.steps):\n"
        "    for module in pkgutil.iter_modules(package.__path__, package.__name__ + '.'):\n"
        "        importlib.import_module(module.name)\n"
        "print(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "ks100.steps.reporting" in done.stdout.split()
    assert {"tensorflow", "keras"}.isdisjoint(done.stdout.split())


def test_a_bug_is_a_line_and_a_file_with_the_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import ks100.cli.main as face

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(face.cli, "main", broken)
    assert main([]) == 70
    error = capsys.readouterr().err
    assert "ZeroDivisionError" in error
    assert "Traceback" not in error
    written = Path(error.strip().rsplit(" ", 1)[-1])
    assert "Traceback" in written.read_text()
    written.unlink()


def test_what_an_extra_brings_and_is_not_installed_is_asked_for_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    assert main(["cost", "fusion-small"]) == 2
    assert capsys.readouterr().err == (
        'ks100: this needs keras, which is not installed; install it with: pip install "ks100[train]"\n'
    )


@pytest.mark.parametrize(("module", "extra"), [("scipy.stats", "train"), ("jinja2", "hil"), ("PIL.Image", "train")])
def test_a_modules_extra_is_known(module: str, extra: str) -> None:
    line = help_to_install(ModuleNotFoundError(f"No module named {module!r}", name=module))
    assert line is not None
    assert line.endswith(f'pip install "ks100[{extra}]"')


def test_a_module_that_no_extra_brings_is_a_bug_of_ours() -> None:
    assert help_to_install(ModuleNotFoundError("No module named 'nosuch'", name="nosuch")) is None
