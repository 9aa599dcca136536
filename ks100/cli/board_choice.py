"""Selecting boards: by URL, by name in an inventory, or found on this machine.

The inventory is given by ``--inventory`` or the variable ``KS100_INVENTORY``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ks100.errors import UsageError

if TYPE_CHECKING:
    from firmware_bridge.host.address import BoardAddress

__all__ = ["BoardSelection", "boards_options", "choose_boards", "find_board", "inventory_option", "read_names"]

_F = TypeVar("_F", bound=Callable[..., Any])


def inventory_option(function: _F) -> _F:
    """Add ``--inventory``."""
    return click.option(
        "--inventory", type=click.Path(path_type=Path, dir_okay=False), envvar="KS100_INVENTORY", show_envvar=True,
        help="A labgrid environment file; the names of its targets can be used as BOARD.",
    )(function)  # fmt: skip


def boards_options(function: _F) -> _F:
    """Add ``BOARD...``, ``--all`` and ``--inventory`` (parameters ``boards``, ``everything``, ``inventory``)."""
    for option in (
        inventory_option,
        click.option(
            "--all",
            "everything",
            is_flag=True,
            help="All boards of the inventory, and all that are connected or running here.",
        ),
        click.argument("boards", nargs=-1, metavar="BOARD..."),
    ):
        function = option(function)
    return function


@dataclass(frozen=True, slots=True)
class BoardSelection:
    """The user's selection.

    Attributes:
        boards: URLs, or names of the inventory.
        inventory: a labgrid environment file.
        everything: all boards of the inventory, and all that are connected or running here.
    """

    boards: tuple[str, ...] = ()
    inventory: Path | None = None
    everything: bool = False


def choose_boards(wanted: BoardSelection, *, whole_inventory: bool = False) -> dict[str, BoardAddress]:
    """Return the boards' addresses by name, each board once.

    Args:
        wanted: the user's selection.
        whole_inventory: whether an empty selection means all boards of the inventory.

    Raises:
        UsageError: no board is given, or the same board is given twice.
        InputError: an address or the inventory is invalid.
    """
    from firmware_bridge.host.discovery import identity_of
    from firmware_bridge.host.inventory import resolve_board

    named = read_names(wanted.inventory)
    chosen = [(board, resolve_board(board, named, wanted.inventory)) for board in wanted.boards]
    if wanted.everything or (whole_inventory and named and not wanted.boards):
        known = {identity_of(address) for _, address in chosen}
        chosen += [(name, address) for name, address in named.items() if identity_of(address) not in known]
    if wanted.everything:
        chosen += found_here({identity_of(address) for _, address in chosen})
    if not chosen:
        raise UsageError(
            "--all finds no board on this machine's ports; are the udev rules installed (ks100 setup udev)?"
            if wanted.everything
            else "which board? give its URL or its name, --inventory FILE, or --all; ks100 boards list shows them"
        )
    return _each_once(chosen)


def find_board(board: str, inventory: Path | None) -> str:
    """Return the URL of one board, given as a URL or as a name of the inventory.

    Raises:
        InputError: it is neither, or the inventory is invalid.
    """
    from firmware_bridge.host.inventory import resolve_board

    return resolve_board(board, read_names(inventory), inventory).url


def read_names(inventory: Path | None) -> dict[str, BoardAddress]:
    """Return the boards of an inventory by name; {} without an inventory."""
    if inventory is None:
        return {}
    from firmware_bridge.host.inventory import read_inventory

    return read_inventory(inventory)


def found_here(known: set[str]) -> list[tuple[str, BoardAddress]]:
    """Return the boards connected to or running on this machine whose identity is not already known."""
    from firmware_bridge.host.discovery import find_ports, first_ports, identity_of
    from hil.virtual.running import running_boards

    found: list[tuple[str, BoardAddress]] = []
    found += [(port.serial or port.address.url, port.address) for port in first_ports(find_ports())]
    found += [(address.url, address) for address in running_boards()]
    return [(name, address) for name, address in found if identity_of(address) not in known]


def _each_once(chosen: Sequence[tuple[str, BoardAddress]]) -> dict[str, BoardAddress]:
    """Refuse duplicates, which would write to the same slot. ``emu:`` alone is a new board each time."""
    from firmware_bridge.host.discovery import identity_of

    boards: dict[str, BoardAddress] = {}
    seen: dict[str, str] = {}
    for name, address in chosen:
        other = seen.setdefault(identity_of(address), name)
        if other != name and not address.is_ephemeral:
            raise UsageError(f"{name} and {other} are the same board; give it once")
        if name in boards and not address.is_ephemeral:
            raise UsageError(f"{name} is given twice; give it once")
        free, count = name, 1
        while free in boards:
            free, count = f"{name}#{count + 1}", count + 1
        boards[free] = address
    return boards
