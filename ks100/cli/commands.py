"""Properties of all commands: examples in the help, and no output that overwrites an input.

Commands are plain click commands; `prepared` adds both on loading.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from ks100.cli.help_examples import EXAMPLES

__all__ = ["prepared"]

_OUTPUTS = frozenset({"out", "html", "junit", "export", "digest_out", "save", "holdout", "rest", "results"})
"""Parameters that name outputs; every other path is an input."""


def prepared(command: click.Command, name: str) -> click.Command:
    """Prepare a command and its subcommands; ``name`` is its full name without ``ks100``."""
    if isinstance(command, click.Group):
        for part in command.commands.values():
            prepared(part, f"{name} {part.name}".strip())
    if (examples := EXAMPLES.get(name)) and "Examples:" not in (command.epilog or ""):
        text = "\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples)
        command.epilog = f"{command.epilog}\n\n{text}" if command.epilog else text
    if not isinstance(command, click.Group):
        _guard(command)
    return command


def _guard(command: click.Command) -> None:
    callback = command.callback
    if callback is None or hasattr(callback, "guarded"):
        return

    def guarded(*arguments: Any, **values: Any) -> Any:
        _refuse_overwriting(command, values)
        _refuse_unwritable(command, values)
        return callback(*arguments, **values)

    guarded.guarded = True  # type: ignore[attr-defined]  # a command may be in two groups
    guarded.__doc__ = callback.__doc__
    command.callback = guarded


def _refuse_overwriting(command: click.Command, values: dict[str, Any]) -> None:
    """Refuse an output that is one of the inputs, which would be lost if the command fails.

    Raises:
        UsageError: names both.
    """
    outputs: dict[str, str] = {}
    inputs: dict[str, str] = {}
    for parameter in command.params:
        into = outputs if parameter.name in _OUTPUTS else inputs
        for path in _paths(parameter, values.get(parameter.name or "")):
            label = f"--{parameter.name}" if isinstance(parameter, click.Option) else str(parameter.human_readable_name)
            other = into.setdefault(os.path.realpath(path), label.replace("_", "-"))
            if into is outputs and other != label.replace("_", "-"):
                raise click.UsageError(f"{other} and {label.replace('_', '-')} are the same file, {path}")
    for path, output in outputs.items():
        if path in inputs and not _in_place(command, output):
            raise click.UsageError(f"{output} is {inputs[path]} itself, {path}; write to another file")


def _refuse_unwritable(command: click.Command, values: dict[str, Any]) -> None:
    """Refuse an output that cannot be written before the work begins.

    Raises:
        UsageError: names the option and the obstacle.
    """
    for parameter in command.params:
        if parameter.name not in _OUTPUTS:
            continue
        for text in _paths(parameter, values.get(parameter.name)):
            path = Path(text)
            there = next((p for p in (path, *path.parents) if os.path.lexists(p)), Path())
            label = f"--{parameter.name}".replace("_", "-")
            if there != path and not there.is_dir():
                raise click.UsageError(f"{label} {path} cannot be written: {there} is not a folder")
            if not os.access(there, os.W_OK):
                raise click.UsageError(f"{label} {path} cannot be written: no permission in {there}")


def _in_place(command: click.Command, output: str) -> bool:
    """Return whether a command replaces its input, like the trust store commands."""
    return output == "--out" and any(parameter.name == "store" for parameter in command.params)


def _paths(parameter: click.Parameter, value: object) -> Iterator[str]:
    if isinstance(value, (tuple, list)):
        for item in value:
            yield from _paths(parameter, item)
    elif isinstance(value, Path):
        yield str(value)
    elif isinstance(value, str) and value and Path(value).is_file():
        yield value  # a key, a plan or a profile, which may be a file name
