"""``ks100 agent``: install the agent on a real board over OpenSSH."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from firmware_bridge.host.address import SshAddress

__all__ = ["command"]

_TIMEOUT_S = 900


@click.group(name="agent")
def command() -> None:
    """Install the agent, the program that runs on a board."""


@command.command()
@click.argument("host")
@click.option("--wheel", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=True,
              help="This project as a wheel (python -m build --wheel, or pip wheel --no-deps .).")  # fmt: skip
@click.option("--serial", default="/dev/ttyS1", show_default=True, help='Serial port of the board; "" for none.')
@click.option("--delegate", default="", metavar="LIB", help="The NPU's external delegate on the board.")
@click.option("--python", default="python3", show_default=True, help="The board's Python (3.11 or later).")
@click.option("--dry-run", is_flag=True, help="Print the script that would run on the board.")
def install(host: str, wheel: Path, serial: str, delegate: str, python: str, dry_run: bool) -> None:
    """Install or update the agent on HOST, and wait until it runs.

    HOST is [USER@]HOST or ssh://USER@HOST:PORT?identity=FILE&known_hosts=FILE&config=FILE, as root.
    """
    from firmware_bridge.agent.installation import Installation, install_script
    from firmware_bridge.errors import InputError
    from firmware_bridge.input_files import FileKind, kind_of, read_bytes

    address = _address(host)
    data = read_bytes(wheel, FileKind.WHEEL)
    if kind_of(data) is not FileKind.ZIP or wheel.suffix != ".whl":
        raise InputError(f"{wheel} is {kind_of(data).label}, not a wheel (.whl); make one with: pip wheel --no-deps .")
    there = f"/var/tmp/{wheel.name}"  # noqa: S108 - on the board, as root, and removed again
    script = install_script(Installation(there, serial, delegate, python))
    if dry_run:
        click.echo(script, nl=False)
        return
    from firmware_bridge.links.openssh_command import OpenSsh
    from firmware_bridge.links.openssh_remote import run_remote

    address.check_files()
    ssh = OpenSsh.find(address)
    quoted = shlex.quote(there)
    run_remote(ssh, f"cat > {quoted}", data, _TIMEOUT_S)
    run = f"sh -s; status=$?; rm -f {quoted}; exit $status"
    run_remote(ssh, f"sh -c {shlex.quote(run)}", script.encode(), _TIMEOUT_S)
    board = shlex.quote(replace(address, user="ks100", identity=None).url)
    click.echo(f"{address.name}: the agent is running; next: ks100 provision {board} --trust F")


def _address(host: str) -> SshAddress:
    from firmware_bridge.errors import InputError
    from firmware_bridge.host.address import BoardAddress, SshAddress
    from firmware_bridge.links.ssh_server import SshClient

    address = BoardAddress.parse(host if "://" in host else f"ssh://{host}")
    if not isinstance(address, SshAddress) or address.client is SshClient.PARAMIKO:
        raise InputError(f"HOST must be [USER@]HOST or ssh://..., for OpenSSH, not {host!r}")
    return address
