"""``ks100 flash`` without arguments on a terminal: finds packages and boards, and prompts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from ks100.cli.board_choice import found_here, read_names
from ks100.errors import UsageError

__all__ = ["ask_boards", "ask_package"]


def ask_package(folder: Path = Path()) -> Path:
    """Ask for a package in ``folder``.

    Raises:
        UsageError: there is no terminal, or no package.
    """
    if not sys.stdin.isatty():
        raise UsageError("which package? give PACKAGE (see ks100 flash --help)")
    found = sorted(folder.glob("*.ksm"), key=lambda path: -path.stat().st_mtime)
    if not found:
        raise UsageError("no package (*.ksm) in this folder; give one: ks100 flash PACKAGE")
    return found[0] if len(found) == 1 else found[_ask("package", [path.name for path in found])]


def ask_boards(package: Path, inventory: Path | None) -> tuple[str, ...]:
    """Ask for boards among those of the inventory and of this machine.

    Raises:
        UsageError: there is none.
        Abort: the answer is no.
    """
    named = read_names(inventory)
    boards = [*named, *(address.url for _, address in found_here(set()))]
    if not boards:
        raise UsageError("no board is connected or running here; see: ks100 boards check")
    if len(boards) > 1:
        number = _ask("board", [*boards, "all of them"])
        return tuple(boards) if number == len(boards) else (boards[number],)
    click.confirm(f"Flash {package} to {boards[0]}?", abort=True, default=True, err=True)
    return (boards[0],)


def _ask(what: str, names: Sequence[str]) -> int:
    for number, name in enumerate(names, start=1):
        click.echo(f"{number:3}  {name}", err=True)
    return int(click.prompt(f"Which {what}", type=click.IntRange(1, len(names)), default=1, err=True)) - 1
