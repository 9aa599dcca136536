"""``ks100 agent``: put the agent on a real board, over the user's own ssh."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import click

__all__ = ["command"]

_TIMEOUT_S = 900


@click.group(name="agent")
def command() -> None:
    """Put the agent, the board's side, on a real board."""


@command.command()
@click.argument("host")
@click.option("--wheel", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True,
              help="This project as a wheel (python -m build --wheel, or pip wheel --no-deps .).")  # fmt: skip
@click.option("--serial", default="/dev/ttyS1", show_default=True, help='Terminal of the serial line; "" for none.')
@click.option("--delegate", default="", metavar="LIB", help="External delegate of the NPU, on the board.")
@click.option("--python", default="python3", show_default=True, help="The board's Python, 3.11 or later.")
@click.option("--dry-run", is_flag=True, help="Print the script that would run on the board.")
def install(host: str, wheel: Path, serial: str, delegate: str, python: str, dry_run: bool) -> None:
    """Install or update the agent on HOST ([USER@]HOST, a user that is root), and wait until it is up."""
    from firmware_bridge.agent.installation import Installation, install_script
    from firmware_bridge.errors import InputError

    if host.startswith("-"):
        raise InputError(f"HOST must be [USER@]HOST; given was {host!r}")
    there = f"/var/tmp/{wheel.name}"  # noqa: S108 - on the board, as root, and removed again
    script = install_script(Installation(there, serial, delegate, python))
    if dry_run:
        click.echo(script, nl=False)
        return
    _run(["scp", "-q", "--", str(wheel), f"{host}:{there}"], host)
    _run(["ssh", "-T", "--", host, "sh -s"], host, script)
    _run(["ssh", "-T", "--", host, f"rm -f '{there}'"], host)
    click.echo(f"{host}: the agent is up; next: ks100 boards provision ssh://ks100@{host.rpartition('@')[2]} --trust F")


def _run(arguments: list[str], host: str, script: str | None = None) -> None:
    from firmware_bridge.errors import BenchError

    tool = shutil.which(arguments[0])
    if tool is None:
        raise BenchError(f"{arguments[0]} is not installed; install it with: apt-get install openssh-client")
    try:
        done = subprocess.run(
            [tool, *arguments[1:]], input=script, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{host} did not finish within {_TIMEOUT_S} s; log in and look at it") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:] or ["it said nothing"]
        raise BenchError(f"{host}: {arguments[0]} failed with exit code {done.returncode}: {said[0]}")
