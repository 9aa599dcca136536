"""Who this board is: kind and serial number."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

__all__ = ["BoardIdentity", "agent_version", "device_serial"]

_DEVICE_TREE = Path("/proc/device-tree/serial-number")
_MACHINE_ID = Path("/etc/machine-id")


@dataclass(frozen=True, slots=True)
class BoardIdentity:
    """A board.

    Attributes:
        board: kind of board, the name of its profile, e.g. ``ks100``.
        serial: serial number.
        emulated: whether its time and power are modelled.
    """

    board: str
    serial: str
    emulated: bool = False


def device_serial(device_tree: Path = _DEVICE_TREE, machine_id: Path = _MACHINE_ID) -> str:
    """Return the serial number that the boot firmware gives, or one derived from the system's id."""
    for path in (device_tree, machine_id):
        try:
            text = path.read_bytes().rstrip(b"\0\n").decode("ascii", "replace")
        except OSError:
            continue
        if not text:
            continue
        # The machine id itself must not be shown to others, see machine-id(5).
        return (
            _clean(text) if path == device_tree else hashlib.sha256(b"ks100" + text.encode()).hexdigest()[:12].upper()
        )
    return "UNKNOWN"


def agent_version() -> str:
    """Return the version of the installed package."""
    try:
        return metadata.version("ks100")
    except metadata.PackageNotFoundError:
        return "0+unknown"


def _clean(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", text)[:64]
