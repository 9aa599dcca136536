"""A manual page per command, by click-man, with added examples and exit codes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click

from ks100.errors import UsageError

__all__ = ["write_man_pages"]

_EXIT_CODES = (
    (0, "pass"), (1, "a limit failed"), (2, "usage"), (3, "board or bench fault"), (4, "rejected by trust"),
    (5, "transfer"), (6, "inconclusive"), (70, "a bug in ks100"), (130, "interrupted"),
)  # fmt: skip


def write_man_pages(folder: Path) -> tuple[Path, ...]:
    """Write ``ks100.1``, ``ks100-flash.1`` and so on into ``folder``.

    Raises:
        UsageError: click-man is not installed.
        InputError: a page cannot be written.
    """
    from firmware_bridge.files import write_atomically
    from ks100.cli.main import cli

    pages = []
    for context in _contexts(click.Context(cli, info_name="ks100")):
        path = folder / f"{context.command_path.replace(' ', '-')}.1"
        write_atomically(path, _page(context).encode())
        pages.append(path)
    return tuple(pages)


def _contexts(context: click.Context) -> Iterator[click.Context]:
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            if command is not None and not command.hidden:
                yield from _contexts(click.Context(command, info_name=name, parent=context))


def _page(context: click.Context) -> str:
    try:
        from click_man.man import ManPage
    except ImportError as error:
        raise UsageError("manual pages need click-man; install it with: pip install 'ks100[dev]'") from error
    command = context.command
    page = ManPage(context.command_path)
    page.version = f"ks100 {version('ks100')}"
    page.short_help = command.get_short_help_str(100)
    page.description = _roff(inspect.cleandoc(command.help or "").replace("\b\n", ""))
    page.synopsis = " ".join(command.collect_usage_pieces(context))
    records = (parameter.get_help_record(context) for parameter in command.get_params(context))
    page.options = [(name, _roff(text)) for name, text in filter(None, records)]
    if isinstance(command, click.Group):
        found = ((name, command.get_command(context, name)) for name in command.list_commands(context))
        page.commands = [(name, part.get_short_help_str(100)) for name, part in found if part and not part.hidden]
    return "\n".join([str(page), *_examples(command), *_codes()]) + "\n"


def _examples(command: click.Command) -> Iterator[str]:
    lines = (command.epilog or "").partition("Examples:\n")[2].splitlines()
    if lines:
        yield from (".SH EXAMPLES", ".nf", *(_roff(line.strip()) for line in lines), ".fi")


def _codes() -> Iterator[str]:
    yield ".SH EXIT STATUS"
    for code, meaning in _EXIT_CODES:
        yield from (".TP", f".B {code}", meaning)


def _roff(text: str) -> str:
    """Escape text for roff: backslashes, hyphens, and dots at the start of a line."""
    lines = text.replace("\\", "\\e").replace("-", "\\-").splitlines()
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in lines)
