"""Why a serial port can or cannot be used, and who has it, by the system's records, without opening it.

Reads ``/dev``, ``/proc``, ``/sys`` and the user database; changes nothing.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.host.discovery import is_boards_product
from firmware_bridge.links.processes import command_of

__all__ = ["PortFinding", "holders_of", "inspect_port", "latency_timer_ms", "running_commands"]

_PROC = Path("/proc")
_GOOD_LATENCY_MS = 1
_PROBERS = ("ModemManager", "brltty")
_RULES = ("/etc/udev/rules.d", "/run/udev/rules.d", "/usr/lib/udev/rules.d", "/lib/udev/rules.d")
_RULES_FILE = "70-ks100.rules"


@dataclass(frozen=True, slots=True)
class PortFinding:
    """Something about a port that matters.

    Attributes:
        blocks: whether the port cannot be used before it is put right.
        text: the finding and its remedy.
    """

    blocks: bool
    text: str


def inspect_port(
    path: Path,
    product: str = "",
    *,
    commands: Callable[[], frozenset[str]] | None = None,
    sysfs: Path = Path("/sys"),
) -> tuple[PortFinding, ...]:
    """Return what is wrong with a port, the worst first; nothing when it can be used.

    Args:
        path: of the port.
        product: its USB product name, where that is known.
        commands: names the commands that run on this machine.
        sysfs: the kernel's view of the devices.
    """
    if not path.exists():
        return (PortFinding(True, "there is no such port; is the board plugged in, and powered?"),)
    found = [*_permission(path), *_holder(path)]
    if product and not is_boards_product(product):
        found.append(
            PortFinding(
                False,
                f"its USB bridge calls itself {product!r}, not KS-100: it was never programmed, so udev gives it no "
                "stable name (docs/troubleshooting.md names the makers' tools)",
            )
        )
    if not any((Path(folder) / _RULES_FILE).exists() for folder in _RULES):
        running = (commands or running_commands)()
        found += [
            PortFinding(
                False, f"{name} runs, and may write to the port when it is plugged in; ks100 setup udev keeps it off"
            )
            for name in _PROBERS
            if name in running
        ]
    latency_ms = latency_timer_ms(str(path), sysfs=sysfs)
    if latency_ms is not None and latency_ms > _GOOD_LATENCY_MS:
        found.append(
            PortFinding(False, f"FTDI's latency timer is {latency_ms} ms, which slows pushes; ks100 setup udev sets 1")
        )
    return tuple(sorted(found, key=lambda finding: not finding.blocks))


def latency_timer_ms(path: str, *, sysfs: Path = Path("/sys")) -> int | None:
    """Return an FTDI adapter's latency timer, or None for other ports; it delays every short answer."""
    timer = sysfs / "class/tty" / Path(os.path.realpath(path)).name / "device/latency_timer"
    try:
        return int(timer.read_text())
    except (OSError, ValueError):
        return None


def _permission(path: Path) -> Iterator[PortFinding]:
    if os.access(path, os.R_OK | os.W_OK):
        return
    status = path.stat()
    user = pwd.getpwuid(os.geteuid()).pw_name
    try:
        group = grp.getgrgid(status.st_gid)
    except KeyError:
        group = None
    if group is None or not status.st_mode & 0o060:
        yield PortFinding(
            True, f"{user} may not open it, nor may any group; ks100 setup udev installs rules that allow it"
        )
    elif user in group.gr_mem:
        yield PortFinding(
            True, f"{user} has joined the group {group.gr_name} since this session began; log out and in again"
        )
    else:
        yield PortFinding(
            True,
            f"{user} is not in the group {group.gr_name}; run: sudo usermod -aG {group.gr_name} {user}, log in again",
        )


def _holder(path: Path) -> Iterator[PortFinding]:
    for process, command in holders_of(path):
        yield PortFinding(True, f"{command} (process {process}) has it open; end that program first")


def holders_of(path: Path) -> tuple[tuple[int, str], ...]:
    """Return the processes that have a device open, as far as this user may see, with their commands' names."""
    try:
        device = path.stat().st_rdev
    except OSError:
        return ()
    found = []
    for process in _processes():
        if process == os.getpid():
            continue
        with contextlib.suppress(OSError):
            for descriptor in (_PROC / str(process) / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if descriptor.stat().st_rdev == device and os.path.realpath(descriptor) == os.path.realpath(path):
                        found.append((process, command_of(process)))
                        break
    return tuple(found)


def running_commands() -> frozenset[str]:
    """Return the names of the commands that run on this machine."""
    return frozenset(command_of(process) for process in _processes())


def _processes() -> Iterator[int]:
    return (int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal())
