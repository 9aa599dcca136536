"""The virtual boards that run on this machine, found by their processes. Starts and opens nothing."""

from __future__ import annotations

import contextlib
from pathlib import Path

from firmware_bridge.host.address import EmulatedAddress, QemuAddress, VirtualAddress
from hil.virtual.handle import ENDPOINTS

__all__ = ["running_boards"]

_MODULES: dict[bytes, type[VirtualAddress]] = {
    b"hil.virtual.emulated": EmulatedAddress,
    b"hil.virtual.qemu.board": QemuAddress,
}
_STATE = b"--state"


def running_boards(proc: Path = Path("/proc")) -> tuple[VirtualAddress, ...]:
    """Return the addresses of the virtual boards whose processes this user may see, by folder; without fresh ones."""
    found: dict[str, VirtualAddress] = {}
    for process in proc.iterdir():
        if not process.name.isdecimal():
            continue
        with contextlib.suppress(OSError, ValueError, IndexError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            kind = next((kind for module, kind in _MODULES.items() if module in words), None)
            if kind is None:
                continue
            folder = Path(words[words.index(_STATE) + 1].decode())
            if (folder / ENDPOINTS).is_file():
                found[str(folder)] = kind(folder)
    return tuple(found[name] for name in sorted(found))
