"""`ks100 conformance` as a firmware engineer meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from firmware_bridge.errors import BenchError
from hil.virtual.sshd import find_sshd
from ks100.cli.main import main


def _run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def test_a_fresh_board_conforms_over_ssh_and_every_report_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        find_sshd()
    except BenchError as error:
        pytest.skip(str(error))
    reports = ("--save", tmp_path / "c.json", "--junit", tmp_path / "c.xml", "--html", tmp_path / "c.html")
    code = _run(
        "conformance", "emu:", "--only", "rollback", "--only", "second-writer", "--only", "boot-changed", *reports
    )
    shown = capsys.readouterr().out
    assert code == 0, shown
    assert "conforms: 19 cases of 3 classes over ssh" in shown
    assert json.loads((tmp_path / "c.json").read_text())["passed"]
    assert (tmp_path / "c.html").is_file()
    assert (tmp_path / "c.xml").is_file()


def test_a_listed_failure_that_passes_makes_the_list_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    listed = tmp_path / "expected.txt"
    listed.write_text("# not there yet\nrollback/waived  # soon\n")
    arguments = ("conformance", "emu:?link=serial", "--only", "rollback", "--expected-failures", listed)
    assert _run(*arguments) == 1
    assert "rollback/waived: passed, and is listed as an expected failure" in capsys.readouterr().out
    listed.write_text("rolback\n")
    assert _run(*arguments) == 2
    assert "there is no class 'rolback'" in capsys.readouterr().err


def test_a_board_of_somebody_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    board = f"emu:{tmp_path / 'board'}?link=serial"
    assert _run("conformance", board, "--only", "rollback") == 0
    assert _run("conformance", board, "--only", "rollback") == 3
    assert "has the trust store of program 'conformance'" in capsys.readouterr().err


def test_the_classes_can_be_listed_without_a_board(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("conformance", "--list") == 0
    assert "signature-arithmetic" in capsys.readouterr().out
    assert _run("conformance", "--only", "nothing") != 0
    assert "there is no rule or group 'nothing'" in capsys.readouterr().err
