"""Which serial ports of this machine look like a KS-100: those that udev named, and USB ports that say so.

Opens nothing; whether a board answers is for `Board` to find out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from firmware_bridge.host.address import SerialAddress

__all__ = ["FoundPort", "find_ports"]

_FOLDER = Path("/dev/ks100")
_WORDS = ("ks-100", "ks100")


class _Port(Protocol):
    """What pyserial tells of a port."""

    device: str
    manufacturer: str | None
    product: str | None
    serial_number: str | None


@dataclass(frozen=True, slots=True)
class FoundPort:
    """A port that looks like a board's.

    Attributes:
        address: where it is, under udev's stable name where there is one.
        device: the kernel's name of it now, e.g. ``/dev/ttyUSB0``.
        serial: the board's serial number, ``""`` when unknown.
    """

    address: SerialAddress
    device: str
    serial: str


def find_ports(
    folder: Path = _FOLDER,
    ports: Callable[[], Iterable[_Port]] | None = None,
) -> tuple[FoundPort, ...]:
    """Return the ports that look like a KS-100, sorted by address.

    Args:
        folder: where the project's udev rules put stable names, one for each serial number.
        ports: lists the machine's ports; defaults to pyserial's.
    """
    found = {}
    if folder.is_dir():
        for link in sorted(folder.iterdir()):
            device = os.path.realpath(link)
            found[device] = FoundPort(SerialAddress(link), device, link.name)
    for port in (ports or _pyserial_ports)():
        words = f"{port.manufacturer or ''} {port.product or ''}".lower()
        if port.device not in found and any(word in words for word in _WORDS):
            found[port.device] = FoundPort(SerialAddress(Path(port.device)), port.device, port.serial_number or "")
    return tuple(sorted(found.values(), key=lambda port: port.address.url))


def _pyserial_ports() -> Iterable[_Port]:
    from serial.tools import list_ports

    return list_ports.comports()
