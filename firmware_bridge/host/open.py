"""From an address to a link. Virtual boards are started by the layer above (`hil.boards`), not here."""

from __future__ import annotations

from firmware_bridge.errors import InputError
from firmware_bridge.host.address import BoardAddress, RegisteredAddress, SerialAddress, SshAddress
from firmware_bridge.links.link import Link
from firmware_bridge.links.registry import open_registered
from firmware_bridge.links.ssh import open_server

__all__ = ["open_link"]


def open_link(address: BoardAddress | str) -> Link:
    """Open the link to a board that exists already.

    Raises:
        BenchError: no such board, port or host, or it is in use.
        InputError: the address is wrong, names a virtual board, or a registered link that does not work as one.
    """
    if isinstance(address, str):
        address = BoardAddress.parse(address)
    match address:
        case SshAddress():
            return open_server(address, address.client)
        case SerialAddress():
            from firmware_bridge.links.serial import open_serial

            return open_serial(str(address.path), address.baud, fastest=address.fastest)
        case RegisteredAddress():
            return open_registered(address.scheme, address.url)
        case _:
            raise InputError(
                f"{address.url} is a virtual board, which has to be started first; use hil.boards.open_board"
            )
