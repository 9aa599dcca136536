"""Which boards a ``flash`` is for: given, of an inventory, found on this machine, or those that failed last time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ks100.cli.flash_record import FlashRecord
from ks100.errors import UsageError

if TYPE_CHECKING:
    from firmware_bridge.host.address import BoardAddress

__all__ = ["TargetSelection", "choose_boards"]


@dataclass(frozen=True, slots=True)
class TargetSelection:
    """What the user asked for.

    Attributes:
        boards: URLs, or names of the inventory.
        inventory: a labgrid environment file.
        everything: all boards of the inventory and all that are plugged in.
        failed_only: only those that failed in the last run.
    """

    boards: tuple[str, ...] = ()
    inventory: Path | None = None
    everything: bool = False
    failed_only: bool = False


def choose_boards(wanted: TargetSelection, record: FlashRecord) -> dict[str, BoardAddress]:
    """Return the boards' addresses by the names that people gave them; none when all of the last run passed.

    Raises:
        UsageError: nothing is asked for, or the same board twice, or there is no last run.
        InputError: an address is none, or the inventory is not one.
    """
    from firmware_bridge.host.discovery import identity_of

    named = _read(wanted.inventory)
    if wanted.failed_only:
        return _failed(wanted, record, named)
    chosen = [(board, _address(board, named)) for board in wanted.boards]
    if wanted.everything or (named and not wanted.boards):
        chosen += named.items()
    if wanted.everything:
        chosen += _plugged_in({identity_of(address) for _, address in chosen})
    if not chosen:
        raise UsageError(
            "--all finds no board on this machine's ports; are the udev rules installed (udev/README.md)?"
            if wanted.everything
            else "which board? give --board URL (several are flashed in parallel), --inventory FILE, or --all"
        )
    return _each_once(chosen)


def _read(inventory: Path | None) -> dict[str, BoardAddress]:
    if inventory is None:
        return {}
    from firmware_bridge.host.inventory import read_inventory

    return read_inventory(inventory)


def _address(board: str, named: dict[str, BoardAddress]) -> BoardAddress:
    from firmware_bridge.host.address import BoardAddress

    if board in named:
        return named[board]
    if named and ":" not in board:
        raise UsageError(f"the inventory has no board {board!r}; it has {', '.join(named)}")
    return BoardAddress.parse(board)


def _plugged_in(known: set[str]) -> list[tuple[str, BoardAddress]]:
    from firmware_bridge.host.discovery import find_ports, first_ports, identity_of

    ports = [port for port in first_ports(find_ports()) if identity_of(port.address) not in known]
    return [(port.serial or port.address.url, port.address) for port in ports]


def _failed(wanted: TargetSelection, record: FlashRecord, named: dict[str, BoardAddress]) -> dict[str, BoardAddress]:
    from firmware_bridge.host.address import BoardAddress

    if wanted.boards or wanted.everything:
        raise UsageError("--retry-failed takes the boards of the last run; leave --board and --all away")
    if not record.boards:
        raise UsageError("this package has not been flashed from here yet: there is no last run to retry")
    # The inventory may have been corrected since, which is a reason to retry.
    return {e.name: named.get(e.name) or BoardAddress.parse(e.url) for e in record.boards if not e.passed}


def _each_once(chosen: Sequence[tuple[str, BoardAddress]]) -> dict[str, BoardAddress]:
    """Refuse one board twice: both would write into the same slot. ``emu:`` alone is a new board each time."""
    from firmware_bridge.host.discovery import identity_of

    boards: dict[str, BoardAddress] = {}
    seen: dict[str, str] = {}
    for name, address in chosen:
        other = seen.setdefault(identity_of(address), name)
        if other != name and not address.is_ephemeral:
            raise UsageError(f"{name} and {other} are the same board; give it once")
        if name in boards and not address.is_ephemeral:
            raise UsageError(f"{name} is given twice; a board can be flashed only once at a time")
        free, count = name, 1
        while free in boards:
            free, count = f"{name}#{count + 1}", count + 1
        boards[free] = address
    return boards
