"""Which serial ports of this machine look like a KS-100: those that udev named, and USB ports with its product name.

Also what is known of a port without opening it: its stable name, and the USB socket that it is in. Opens nothing;
whether a board answers is for `Board` to find out.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from firmware_bridge.host.address import BoardAddress, EmulatedAddress, QemuAddress, SerialAddress

__all__ = [
    "FoundPort",
    "find_ports",
    "first_ports",
    "identity_of",
    "is_boards_product",
    "place_of",
    "socket_of",
    "stable_name",
    "usb_ports",
]

_FOLDER = Path("/dev/ks100")
_STABLE = (_FOLDER, Path("/dev/serial/by-id"), Path("/dev/serial/by-path"))
_PRODUCT = re.compile(r"ks-?100", re.IGNORECASE)  # as the udev rules have it: the product's name begins so
_SOCKET = re.compile(r"\d+-\d+(\.\d+)*")
_INTERFACE = re.compile(r"-if([0-9a-f]{2})$")


class _Port(Protocol):
    """What pyserial knows of a port."""

    device: str
    product: str | None
    serial_number: str | None
    location: str | None


@dataclass(frozen=True, slots=True)
class FoundPort:
    """A port that looks like a board's.

    Attributes:
        address: where it is, under udev's stable name where there is one.
        device: the kernel's name of it now, e.g. ``/dev/ttyUSB0``.
        serial: the board's serial number, ``""`` when unknown.
        socket: the USB socket that it is plugged into, e.g. ``1-2.4``, ``""`` when unknown.
        interface: number of the USB interface: a board's first port has the lowest.
    """

    address: SerialAddress
    device: str
    serial: str
    socket: str = ""
    interface: int = 0


def find_ports(
    folder: Path = _FOLDER,
    ports: Callable[[], Iterable[_Port]] | None = None,
    sysfs: Path = Path("/sys"),
) -> tuple[FoundPort, ...]:
    """Return the ports that look like a KS-100, sorted by address; boards with several ports have several.

    Args:
        folder: where the project's udev rules put stable names: by serial number, and by socket.
        ports: lists the machine's ports; defaults to pyserial's.
        sysfs: the kernel's view of the devices.
    """
    known = {port.device: port for port in (ports or _pyserial_ports)()}
    named: dict[str, Path] = {}
    if folder.is_dir():
        # A name by serial number is better than one by socket; of two boards with one number only one has it.
        for link in sorted(folder.iterdir(), key=lambda link: (link.name.startswith("at-"), link.name)):
            named.setdefault(os.path.realpath(link), link)
    devices = set(named) | {d for d, port in known.items() if is_boards_product(port.product or "")}
    found = [_found(device, named.get(device), known.get(device), sysfs) for device in devices]
    return tuple(sorted(found, key=lambda port: port.address.url))


def _found(device: str, link: Path | None, port: _Port | None, sysfs: Path) -> FoundPort:
    ending = _INTERFACE.search(link.name) if link else re.search(r":\d+\.(\d+)$", (port and port.location) or "")
    by_socket = link is None or link.name.startswith("at-")
    serial = "" if by_socket or link is None else _INTERFACE.sub("", link.name)
    return FoundPort(
        SerialAddress(link or Path(device)),
        device,
        serial or (port.serial_number if port else None) or "",
        socket_of(Path(device), sysfs),
        int(ending[1], 16) if ending else 0,
    )


def is_boards_product(product: str) -> bool:
    """Return whether a USB product's name is a board's."""
    return _PRODUCT.match(product) is not None


def first_ports(ports: Sequence[FoundPort]) -> tuple[FoundPort, ...]:
    """Return one port of each adapter, the first one: the others of a board lead to no agent."""
    firsts: dict[tuple[str, str], FoundPort] = {}
    for port in sorted(ports, key=lambda port: (port.interface, port.address.url)):
        key = (port.serial, port.socket) if port.serial or port.socket else ("", port.device)
        firsts.setdefault(key, port)
    return tuple(port for port in ports if port in firsts.values())


def stable_name(port: Path, folders: Sequence[Path] = _STABLE) -> Path:
    """Return the name of a port that stays when it is unplugged and plugged in again; itself when it has none."""
    device = os.path.realpath(port)
    if str(port) != device:
        return port
    for folder in folders:
        for link in sorted(folder.iterdir()) if folder.is_dir() else ():
            if os.path.realpath(link) == device:
                return link
    return port


def socket_of(port: Path, sysfs: Path = Path("/sys")) -> str:
    """Return the USB socket of a port as the kernel numbers it, e.g. ``1-2.4``; ``""`` when it is in none."""
    device = os.path.realpath(sysfs / "class/tty" / Path(os.path.realpath(port)).name / "device")
    sockets = [part for part in Path(device).parts if _SOCKET.fullmatch(part)]
    return sockets[-1] if sockets else ""


def place_of(address: BoardAddress) -> str:
    """Return where a board is, for people: the USB socket of a port, the address of others."""
    if isinstance(address, SerialAddress) and (socket := socket_of(address.path)):
        return f"USB socket {socket}"
    return address.url


def identity_of(address: BoardAddress) -> str:
    """Return a text that two addresses of one device have in common, whatever they are called."""
    match address:
        case SerialAddress():
            return f"serial:{os.path.realpath(address.path)}"
        case EmulatedAddress() | QemuAddress() if address.path is not None:
            return f"{type(address).__name__}:{os.path.realpath(address.path)}"
        case _:
            return address.url


def usb_ports(ports: Callable[[], Iterable[_Port]] | None = None) -> tuple[tuple[str, str], ...]:
    """Return the USB serial ports of this machine with the product names of their bridges, of any vendor."""
    found = (ports or _pyserial_ports)()
    return tuple((port.device, port.product or "a bridge without a name") for port in found if port.location)


def _pyserial_ports() -> Iterable[_Port]:
    from serial.tools import list_ports

    return list_ports.comports()
