"""``ks100 boards list``: all known boards and their state."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.board_choice import found_here, inventory_option, read_names
from ks100.cli.output import json_option, print_json
from ks100.cli.tables import print_table
from ks100.errors import UsageError

if TYPE_CHECKING:
    from firmware_bridge.host.address import BoardAddress
    from firmware_bridge.protocol.messages import BoardInfo

__all__ = ["list_boards"]

_SILENCE_S = 3.0  # shorter than that of a push
_AGAIN_S = 5.0  # interval of queries with --watch


@dataclass(frozen=True, slots=True)
class _Row:
    """One board in the list.

    Attributes:
        name: its name in the inventory, its serial number, or its address.
        address: its address.
        info: its information, None if not queried or unavailable.
        access: ``ok``, or the reason it cannot be used.
        holder: the program that has its port open, or ``""``.
    """

    name: str
    address: BoardAddress
    info: BoardInfo | None
    access: str
    holder: str


@click.command(name="list")
@inventory_option
@click.option("--ask/--no-ask", default=True, show_default=True, help="Query each board.")
@click.option("--watch", is_flag=True, help="Update the list until Ctrl-C.")
@json_option
def list_boards(inventory: Path | None, ask: bool, watch: bool, as_json: bool) -> None:
    """List the boards of the inventory, connected boards, and running virtual boards."""
    if watch and as_json:
        raise UsageError("--watch is for terminals; scripts run ks100 boards list --json repeatedly")
    if watch:
        _watch(inventory, ask)
        return
    rows = _rows(inventory, ask)
    if as_json:
        print_json({"boards": [_record(row) for row in rows]})
    elif rows:
        print_table(_COLUMNS, [_cells(row) for row in rows])
    else:
        click.echo("no board is connected or running here; is it powered, and are the udev rules installed "
                   "(ks100 setup udev)? An inventory is given with --inventory FILE")  # fmt: skip


def _rows(inventory: Path | None, ask: bool) -> list[_Row]:
    from concurrent.futures import ThreadPoolExecutor

    from firmware_bridge.host.discovery import identity_of

    named = read_names(inventory)
    known: Mapping[str, BoardAddress] = named | dict(found_here({identity_of(a) for a in named.values()}))
    if not known:
        return []
    with ThreadPoolExecutor(min(32, len(known))) as pool:
        return list(pool.map(lambda item: _row(item[0], item[1], ask), known.items()))


def _row(name: str, address: BoardAddress, ask: bool) -> _Row:
    from firmware_bridge.host.address import SerialAddress
    from firmware_bridge.host.port_access import holders_of, inspect_port

    holder = ""
    if isinstance(address, SerialAddress):
        holder = ", ".join(f"{command} ({process})" for process, command in holders_of(address.path))
        blocked = next((finding.text for finding in inspect_port(address.path) if finding.blocks), "")
        if blocked:
            return _Row(name, address, None, f"in use by {holder}" if holder else blocked, holder)
    info, access = _asked(address) if ask else (None, "not asked")
    return _Row(name, address, info, access, holder)


def _asked(address: BoardAddress) -> tuple[BoardInfo | None, str]:
    """Return a board's information and whether it could be queried; does not start virtual boards."""
    from firmware_bridge.host.address import VirtualAddress
    from firmware_bridge.host.board import Board
    from firmware_bridge.host.open import open_link
    from hil.boards import host_name, running_address

    try:
        where = address
        if isinstance(address, VirtualAddress):
            running = running_address(address)
            if running is None:
                return None, "not running"
            where = running
        with Board(open_link(where), host_name(), silence_s=_SILENCE_S) as board:
            return board.info(), "ok"
    except Exception as error:  # noqa: BLE001  # shown in the board's line
        return None, " ".join(str(error).split())


_COLUMNS = ("board", "address", "serial", "runs", "program", ">floor", "agent", ">store", "access")


def _cells(row: _Row) -> tuple[str, ...]:
    from rich.markup import escape

    address = "" if row.name == row.address.url else escape(row.address.url.partition("?")[0])
    if row.info is None:
        return (escape(row.name), address, "", "", "", "", "", "", escape(row.access))
    i = row.info
    kind = "EMULATED" if i.emulated else ""
    access = ", ".join(filter(None, [row.access, kind, f"open in {row.holder}" if row.holder else ""]))
    return (escape(row.name), address, escape(i.serial), escape(_model(i)), escape(i.program) or "-", str(i.floor),
            escape(i.agent), str(i.trust_version or "-"), escape(access))  # fmt: skip


def _model(info: BoardInfo) -> str:
    slot = next((slot for slot in info.slots if slot.name == info.active), None)
    if slot is None:
        return "nothing"
    return f"{slot.model} {slot.version}" + ("" if slot.state == "confirmed" else " (on trial)")


def _record(row: _Row) -> dict[str, object]:
    i = row.info
    known = {} if i is None else {
        "serial": i.serial, "kind": i.board, "emulated": i.emulated, "model": _model(i), "program": i.program or None,
        "floor": i.floor, "agent": i.agent, "trust_version": i.trust_version,
    }  # fmt: skip
    return {"name": row.name, "address": row.address.url, "access": row.access, "holder": row.holder or None, **known}


def _watch(inventory: Path | None, ask: bool) -> None:
    """Redraw the list on hot-plug events and every few seconds; plain lines without a terminal."""
    from ks100.cli.live_screen import Screen, changes

    with Screen(sys.stdout) as screen:
        for _ in changes(_AGAIN_S):
            rows = _rows(inventory, ask)
            screen.draw([f"{len(rows)} boards, {time.strftime('%H:%M:%S')}", *_lines(rows)])


def _lines(rows: Sequence[_Row]) -> list[str]:
    """Return one line per board."""
    cells = [(row.name, (row.info.serial if row.info else "") or "-", _model(row.info) if row.info else "-",
              (row.info.program if row.info else "") or "-", row.access) for row in rows]  # fmt: skip
    widths = [max((len(cell[at]) for cell in cells), default=0) for at in range(4)]
    most: Callable[[int], int] = lambda at: (28, 16, 20, 12)[at]  # noqa: E731
    from ks100.cli.wrapping import shortened

    return [
        "  ".join([*(shortened(cell[at], most(at)).ljust(min(widths[at], most(at))) for at in range(4)), cell[4]])
        for cell in cells
    ]
