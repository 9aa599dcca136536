"""``ks100 setup``: udev rules, shell completion and manual pages for this machine."""

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
    """Set up this machine: stable names of boards' ports, shell completion."""


@command.command()
@click.option("--print", "show", is_flag=True, help="Print the rules without installing them.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=_RULES_FOLDER, show_default=True,
              help="Where udev's rules are.")  # fmt: skip
def udev(show: bool, folder: Path) -> None:
    """Install the udev rules: names /dev/ks100/SERIAL, access for dialout, no probing by ModemManager, 1 ms latency.

    Needs root; otherwise the command to run is printed.
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
        raise UsageError(f"{target} is only writable by root; run: sudo {tool} setup udev")
    try:
        write_atomically(target, text.encode())
    except InputError as error:
        raise UsageError(f"{error}; or see the rules with --print") from error
    click.echo(f"{target} is installed")


def _reload() -> None:
    """Reload udev's rules, and apply them to connected devices."""
    tool = shutil.which("udevadm")
    if tool is None:
        click.echo("udevadm is not installed: the rules take effect at the next boot")
        return
    for arguments in (
        ("control", "--reload"),
        ("trigger", "--action=add", "--subsystem-match=usb-serial", "--subsystem-match=tty"),
    ):
        done = subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        if done.returncode:
            said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
            click.echo(f"udevadm {arguments[0]}: {said}; unplug and reconnect the boards", err=True)
            return
    click.echo("applied to connected devices; users need the group dialout: sudo usermod -aG dialout USER")


@command.command()
@click.option("--shell", type=click.Choice(list(_SHELLS)), help="Default: $SHELL.")
@click.option("--print", "show", is_flag=True, help="Print the script without installing it.")
def completion(shell: str | None, show: bool) -> None:
    """Install shell completion of commands, options and files for this user."""
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
    click.echo(f"{target} is installed; it is active in new shells")


@command.command(hidden=True)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def man(folder: Path) -> None:
    """Write a manual page for each command to FOLDER."""
    from ks100.cli.man_pages import write_man_pages

    pages = write_man_pages(folder)
    click.echo(f"{folder}: {len(pages)} pages; read one with: man {folder}/ks100.1")
