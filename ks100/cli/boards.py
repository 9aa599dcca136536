"""``ks100 boards``: find boards; show, provision and audit one."""

from __future__ import annotations

import time
from pathlib import Path

import click

from ks100.cli.tables import print_table
from ks100.errors import UsageError

__all__ = ["command"]


@click.group(name="boards")
def command() -> None:
    """Find boards; show, provision and audit one.

    A board is a URL: emu: (a fresh emulated one), emu:DIR, ssh://user@host, serial:///dev/ks100/SERIAL.
    """


@command.command(name="list")
def list_boards() -> None:
    """List the serial ports of this machine that look like a KS-100."""
    from firmware_bridge.host.discovery import find_ports

    ports = find_ports()
    if not ports:
        click.echo("no serial port looks like a KS-100; are the udev rules installed (udev/README.md)?")
        return
    print_table(("address", "device", "serial"), [(p.address.url, p.device, p.serial or "—") for p in ports])


@command.command()
@click.argument("board")
def info(board: str) -> None:
    """Show what BOARD is and holds."""
    from hil.boards import open_board

    with open_board(board) as opened:
        found, version = opened.info(), opened.welcome.version
    rows = [
        ("board", f"{found.board} {found.serial}" + (" (EMULATED)" if found.emulated else "")),
        ("agent", f"{found.agent}, protocol {version}, package schema {found.package_schema}"),
        ("runtime", f"{found.runtime.name} {found.runtime.version}, {len(found.runtime.ops)} (op, type) pairs"),
        (
            "program",
            f"{found.program}, trust store version {found.trust_version}" if found.program else "not provisioned",
        ),
        ("rollback floor", str(found.floor)),
        ("capacity", f"{found.capacity_bytes / 2**20:.0f} MiB a model"),
        ("rails", ", ".join(found.rails) or "none"),
    ]
    for slot in found.slots:
        model = f", {slot.model} {slot.version}, security version {slot.security_version}" if slot.model else ""
        rows.append((f"slot {slot.name}", f"{slot.state}{model}" + (" (active)" if slot.name == found.active else "")))
    print_table(("", ""), rows)


@command.command()
@click.argument("board")
@click.option("--trust", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The trust store.")
def provision(board: str, trust: Path) -> None:
    """Install a trust store on BOARD: the first as it is, a later one only if the current roots signed it."""
    from hil.boards import open_board
    from ks100.steps.packaging import read_trust

    store = read_trust(trust)
    with open_board(board) as opened:
        opened.provision(store.raw)
        serial = opened.welcome.serial
    click.echo(f"{serial}: holds the trust store of program {store.program}, version {store.version}")


@command.command()
@click.argument("board")
@click.option("--since", type=click.IntRange(0), default=0, show_default=True, help="First entry.")
def audit(board: str, since: int) -> None:
    """Show BOARD's audit log: every accept, reject, activation and load."""
    from hil.boards import open_board

    with open_board(board) as opened:
        entries = opened.audit(since)
    print_table(
        (">#", "board's time", "action", "subject", "result"),
        [
            (str(e.index), time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(e.time_s)), e.action, e.subject, e.result)
            for e in entries
        ],
    )


@command.command()
@click.argument("board")
def reboot(board: str) -> None:
    """Restart BOARD's agent."""
    from firmware_bridge.host.address import BoardAddress
    from hil.boards import open_board

    if BoardAddress.parse(board).is_ephemeral:
        raise UsageError(f"{board} is a fresh board each time; give emu:DIR or qemu:DIR to reboot one that stays")
    with open_board(board) as opened:
        opened.reboot()
    click.echo(f"{board}: restarting")
