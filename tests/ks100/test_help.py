"""What every command's help has, and what holds for all commands: whoever adds one gets it, or fails here."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from ks100.cli.help_examples import EXAMPLES
from ks100.cli.main import cli, main
from ks100.cli.man_pages import write_man_pages

VECTORS = Path(__file__).parents[1] / "vectors"


def commands(command: click.Command = cli, name: str = "") -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for part in command.list_commands(context):
            found = command.get_command(context, part)
            assert found is not None
            yield from commands(found, f"{name} {part}".strip())


ALL = dict(commands())


@pytest.mark.parametrize("name", ALL)
def test_every_commands_help_has_examples(name, capsys):
    assert main([*name.split(), "--help"]) == 0
    said = capsys.readouterr().out
    assert "Examples:" in said
    for line in EXAMPLES[name]:
        assert line in said, "an example is not broken by the help's width"


@pytest.mark.parametrize("line", sorted({line for lines in EXAMPLES.values() for line in lines}))
def test_every_example_is_a_command_with_options_that_exist(line):
    words = shlex.split(line.removeprefix("sudo "))
    assert words.pop(0) == "ks100"
    context = click.Context(cli, info_name="ks100")
    command: click.Command = cli
    while isinstance(command, click.Group):
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found is not None, f"{name} in {line}"
        command, context = found, click.Context(found, info_name=name, parent=context)
    values, _, _ = command.make_parser(context).parse_args(words)
    needed = {p.name for p in command.params if isinstance(p, click.Option) and p.required}
    assert needed <= set(values), f"{line} lacks {needed - set(values)}"


@pytest.mark.parametrize("name", [name for name, command in ALL.items() if isinstance(command, click.Group)])
def test_a_group_alone_shows_its_help(name, capsys):
    assert main(name.split()) == 0
    assert "Commands:" in (said := capsys.readouterr().out) or "Boards:" in said


@pytest.mark.parametrize(("typed", "meant"), [("bords", "boards"), ("flsh", "flash"), ("veriy", "verify")])
def test_a_mistyped_command_is_answered_with_the_one_that_is_meant(typed, meant, capsys):
    assert main([typed]) == 2
    assert f"Did you mean '{meant}'?" in capsys.readouterr().err


def test_options_mean_one_thing():
    meanings: dict[str, set[tuple[bool, str]]] = {}
    for command in ALL.values():
        for parameter in command.params:
            for option in parameter.opts:
                flag = isinstance(parameter, click.Option) and bool(parameter.is_flag)
                meanings.setdefault(option, set()).add((flag, type(parameter.type).__name__))
    for option in ("--json", "--frames", "--inventory", "--trust", "--out", "--captures"):
        assert len(meanings[option]) == 1, f"{option}: {meanings[option]}"
    for name, command in ALL.items():
        boards = [p for p in command.params if "--board" in p.opts]
        assert not boards or name in ("flash", "hil run", "emulate"), f"{name} --board is no board's address"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["gate", "{a}", "{b}", "--out", "{a}"], "--out is PARENT"),
        (["attach", "{a}", "--signature", "{b}", "--public-key", "{b}", "--out", "{a}"], "--out is UNSIGNED itself"),
        (["custody", "show", "{a}", "--html", "{a}"], "--html is PACKAGE itself"),
        (["cost", "{a}", "--html", "{a}"], "--html is MODEL itself"),
        (["cost", "{b}", "--html", "{c}", "--export", "{c}"], "are the same file"),
        (["sign", "{a}", "--key", "{b}", "--program", "p", "--out", "{b}"], "--out is --key itself"),
    ],
)
def test_no_output_overwrites_an_input(arguments, named, tmp_path, capsys):
    files = {name: tmp_path / name for name in "abc"}
    for name in "ab":
        files[name].write_text(name)
    assert main([word.format(**files) for word in arguments]) == 2
    assert named in capsys.readouterr().err
    assert [files[name].read_text() for name in "ab"] == ["a", "b"]


def test_an_existing_trust_store_is_not_made_again(tmp_path, capsys):
    store = tmp_path / "trust.ksr"
    store.write_text("the boards' own")
    (tmp_path / "keys").mkdir()
    assert main(["trust", "init", "--keys", str(tmp_path / "keys"), "--program", "p", "--out", str(store)]) == 2
    assert "exists" in capsys.readouterr().err
    assert store.read_text() == "the boards' own"


@pytest.mark.parametrize(
    "arguments",
    [
        ["verify", "{package}", "--trust", "{trust}"],
        ["trust", "show", "{trust}"],
        ["inspect", "{package}"],
        ["inspect", "{graph}"],
        ["cost", "{graph}"],
        ["boards", "list", "--no-ask"],
        ["version"],
    ],
)
def test_json_is_one_document_and_so_is_an_error(arguments, capsys, tmp_path):
    files = {
        "package": VECTORS / "accepted-es256.ksm",
        "trust": VECTORS / "trust.store",
        "graph": VECTORS / "graph.tflite",
    }
    assert main([*(word.format(**files) for word in arguments), "--json"]) == 0
    assert isinstance(json.loads(capsys.readouterr().out), dict)
    if "{" in "".join(arguments):
        nothing = dict.fromkeys(files, tmp_path / "nothing")
        code = main([*(word.format(**nothing) for word in arguments), "--json"])
        said = capsys.readouterr()
        assert json.loads(said.out)["exit_code"] == code == 2
        assert said.err.count("\n") == 1


def test_the_manual_has_a_page_for_each_command_with_its_examples(tmp_path):
    pages = {page.name: page.read_text() for page in write_man_pages(tmp_path)}
    visible = [name for name, command in ALL.items() if not command.hidden]
    assert set(pages) == {f"ks100{'-' + name.replace(' ', '-') if name else ''}.1" for name in visible}
    assert ".SH EXAMPLES" in pages["ks100-boards-activate.1"]
    assert ".B 3" in pages["ks100-flash.1"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_installed_where_the_shell_looks(shell, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(["setup", "completion", "--shell", shell]) == 0
    [script] = [path for path in tmp_path.rglob("*ks100*") if path.is_file()]
    assert "_KS100_COMPLETE" in script.read_text()
    completing = {"COMP_WORDS": "ks100 boa", "COMP_CWORD": "1", "_KS100_COMPLETE": "bash_complete"}
    code = "import sys; sys.argv = ['ks100']; from ks100.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**completing, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "boards" in done.stdout, done.stderr


def test_the_udev_rules_are_in_the_package_and_are_installed_once(tmp_path, capsys):
    rules = (Path(__file__).parents[2] / "udev" / "70-ks100.rules").read_text()
    assert main(["setup", "udev", "--print"]) == 0
    assert capsys.readouterr().out == rules
    assert main(["setup", "udev", "--folder", str(tmp_path)]) == 0
    assert (tmp_path / "70-ks100.rules").read_text() == rules
    assert main(["setup", "udev", "--folder", str(tmp_path)]) == 0
    assert "up to date" in capsys.readouterr().out
