"""Every row of the table of bad inputs ends in words, in time, and with the right exit code; never with a bug's."""

from __future__ import annotations

import resource

import click
import pytest

from tests.ks100.bad_inputs import judge, prepare, rows
from tests.ks100.test_help import commands

_MEMORY_BYTES = 16 << 30  # a command that reads a file of 20 GB as a whole fails here, and takes no machine with it
NAMES = sorted({row.words[0] if row.words else "" for row in rows(dict.fromkeys(("package", "store", "graph"), "x"))})


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("odd"))


@pytest.fixture(autouse=True)
def place(tmp_path_factory, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.parametrize("name", NAMES)
def test_bad_inputs_end_in_words_and_with_the_right_code(files, name):
    verdicts = [judge(row) for row in rows(files) if (row.words[0] if row.words else "") == name]
    wrong = [f"{verdict.row.name}: {verdict.trouble}" for verdict in verdicts if verdict.trouble]
    assert not wrong, "\n".join(wrong)


def test_the_table_is_large_and_has_every_command(files):
    table = list(rows(files))
    assert len(table) >= 450
    tried = {" ".join(row.words) + " " for row in table}
    leaves = [name for name, command in commands() if not isinstance(command, click.Group) and not command.hidden]
    missing = [name for name in leaves if not any(words.startswith(f"{name} ") for words in tried)]
    assert missing == []
