"""The CI recipes: well-formed, and every command in them is one that this release has, with the options it has."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from ks100.cli.main import cli

RECIPES = sorted((Path(__file__).parents[2] / "examples" / "ci").glob("*.yml"))


def scripts(recipe: Path) -> list[str]:
    """Return the shell lines of every job."""
    return list(_lines(yaml.safe_load(recipe.read_text())))


def _lines(item: Any) -> Iterator[str]:
    if isinstance(item, list):
        for part in item:
            yield from _lines(part)
    elif isinstance(item, dict):
        for key, value in item.items():
            if key in ("run", "script", "before_script"):
                yield from [value] if isinstance(value, str) else value
            else:
                yield from _lines(value)


def test_there_is_a_recipe_for_github_and_one_for_gitlab() -> None:
    assert [path.name for path in RECIPES] == ["github-actions.yml", "gitlab-ci.yml"]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.name)
def test_each_line_is_a_shells_and_each_command_has_its_options(recipe: Path, pytestconfig: pytest.Config) -> None:
    found = 0
    for line in scripts(recipe):
        subprocess.run(["bash", "-n", "-c", line], check=True)
        words = shlex.split(line)
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        if words[0] == "ks100":
            found += 1
            assert options <= _options(words[1:]), line
        elif words[0] == "pytest":
            found += 1
            for option in options - {"--pyargs", "--dist"}:
                pytestconfig.getoption(option)
    assert found >= 3


def _options(words: list[str]) -> set[str]:
    command: click.Command = cli
    context = click.Context(cli)
    for word in words:
        if isinstance(command, click.Group):
            inner = command.get_command(context, word)
            assert inner is not None, f"no command {word}"
            command = inner
    return {option for parameter in command.params for option in parameter.opts}


def test_what_a_recipe_takes_from_the_results_is_what_a_run_leaves_there() -> None:
    from hil.report.junit import JUNIT_FILE
    from hil.report.markdown import SUMMARY_FILE

    text = {path.name: path.read_text() for path in RECIPES}
    assert f"hil-results/{SUMMARY_FILE}" in text["github-actions.yml"]
    assert f"hil-results/{JUNIT_FILE}" in text["gitlab-ci.yml"]
