"""``ks100 setup``: prepare this machine: udev rules, completion in the shell, pages of the manual."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import click

from ks100.errors import UsageError

__all__ = ["command"]

_RULES = "70-ks100.rules"
_RULES_FOLDER = Path("/etc/udev/rules.d")
_TIMEOUT_S = 60
_SHELLS = {
    "bash": "~/.local/share/bash-completion/completions/ks100",
    "zsh": "~/.local/share/zsh/site-functions/_ks100",
    "fish": "~/.config/fish/completions/ks100.fish",
}


@click.group(name="setup")
def command() -> None:
    """Prepare this machine: stable names for boards' ports, completion in the shell."""


@command.command()
@click.option("--print", "show", is_flag=True, help="Print the rules, and change nothing.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=_RULES_FOLDER, show_default=True,
              help="Where udev's rules are.")  # fmt: skip
def udev(show: bool, folder: Path) -> None:
    """Install the udev rules: names /dev/ks100/SERIAL, access for dialout, no probing by ModemManager, 1 ms latency.

    Needs root; without it, the command that does it is printed.
    """
    rules = (resources.files("firmware_bridge.udev") / _RULES).read_text("utf-8")
    if show:
        click.echo(rules, nl=False)
        return
    target = folder / _RULES
    if target.is_file() and target.read_text("utf-8", errors="replace") == rules:
        click.echo(f"{target} is up to date")
    else:
        _write(target, rules)
    if folder == _RULES_FOLDER:
        _reload()


def _write(target: Path, text: str) -> None:
    from firmware_bridge.errors import InputError
    from firmware_bridge.files import write_atomically

    if not os.access(target.parent, os.W_OK):
        tool = shutil.which("ks100") or "ks100"
        raise UsageError(f"only root may write {target}; run: sudo {tool} setup udev")
    try:
        write_atomically(target, text.encode())
    except InputError as error:
        raise UsageError(f"{error}; or see the rules with --print") from error
    click.echo(f"{target} is installed")


def _reload() -> None:
    """Let udev read the rules, and apply them to what is plugged in."""
    tool = shutil.which("udevadm")
    if tool is None:
        click.echo("there is no udevadm here: the rules hold from the next boot on")
        return
    for arguments in (
        ("control", "--reload"),
        ("trigger", "--action=add", "--subsystem-match=usb-serial", "--subsystem-match=tty"),
    ):
        done = subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        if done.returncode:
            said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
            click.echo(f"udevadm {arguments[0]}: {said}; unplug the boards and plug them in again", err=True)
            return
    click.echo("applied to what is plugged in; who is not in the group dialout: sudo usermod -aG dialout USER")


@command.command()
@click.option("--shell", type=click.Choice(list(_SHELLS)), help="The one that $SHELL names otherwise.")
@click.option("--print", "show", is_flag=True, help="Print the script, and change nothing.")
def completion(shell: str | None, show: bool) -> None:
    """Install completion of commands, options and files for this user's shell."""
    from click.shell_completion import get_completion_class

    from firmware_bridge.files import write_atomically
    from ks100.cli.main import cli

    shell = shell or Path(os.environ.get("SHELL", "")).name
    if shell not in _SHELLS:
        raise UsageError(f"which shell? give --shell {', '.join(_SHELLS)}")
    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(cli, {}, "ks100", "_KS100_COMPLETE").source()
    if show:
        click.echo(script)
        return
    target = Path(_SHELLS[shell]).expanduser()
    write_atomically(target, script.encode())
    click.echo(f"{target} is installed; it holds in new shells")


@command.command(hidden=True)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def man(folder: Path) -> None:
    """Write a page of the manual for each command into FOLDER."""
    from ks100.cli.man_pages import write_man_pages

    pages = write_man_pages(folder)
    click.echo(f"{folder}: {len(pages)} pages; read one with: man {folder}/ks100.1")
