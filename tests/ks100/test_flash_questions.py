"""``ks100 flash`` alone: what it asks on a terminal, and that it asks nobody elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path

import click
import pytest

from firmware_bridge.host.address import BoardAddress
from ks100.cli import flash_questions
from ks100.cli.flash_questions import ask_boards, ask_package
from ks100.errors import UsageError

PACKAGE = Path(__file__).parents[1] / "vectors" / "accepted-es256.ksm"


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setattr(flash_questions.sys.stdin, "isatty", lambda: True, raising=False)


def here(monkeypatch, *urls: str) -> None:
    found = [(url, BoardAddress.parse(url)) for url in urls]
    monkeypatch.setattr(flash_questions, "found_here", lambda _: found)


def test_one_package_and_one_board_are_a_single_question(terminal, tmp_path, monkeypatch):
    shutil.copy(PACKAGE, tmp_path / "model.ksm")
    here(monkeypatch, "emu:/lab/one")
    asked: list[str] = []
    monkeypatch.setattr(click, "confirm", lambda text, **_: asked.append(text))
    package = ask_package(tmp_path)
    assert ask_boards(package, None) == ("emu:/lab/one",)
    assert len(asked) == 1
    assert "model.ksm to emu:/lab/one?" in asked[0]


def test_several_boards_are_listed_and_may_all_be_meant(terminal, tmp_path, monkeypatch, capsys):
    here(monkeypatch, "emu:/lab/one", "emu:/lab/two")
    monkeypatch.setattr(click, "prompt", lambda *_, **__: 3)
    assert ask_boards(PACKAGE, None) == ("emu:/lab/one", "emu:/lab/two")
    assert "all of them" in capsys.readouterr().err


def test_nobody_is_asked_where_there_is_no_terminal(tmp_path, monkeypatch):
    monkeypatch.setattr(flash_questions.sys.stdin, "isatty", lambda: False, raising=False)
    with pytest.raises(UsageError, match="which package"):
        ask_package(tmp_path)


def test_a_folder_without_packages_says_so(terminal, tmp_path):
    with pytest.raises(UsageError, match="no package"):
        ask_package(tmp_path)
