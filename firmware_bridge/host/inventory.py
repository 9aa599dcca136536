"""The boards of a lab by name, read from a labgrid environment file (YAML).

    targets:
      bench-1:
        resources:
          NetworkService: {address: 10.0.0.7, username: root}
        drivers:
          SSHDriver: {keyfile: keys/lab}
      bench-2:
        resources:
        - cls: RawSerialPort
          name: console
          port: /dev/ks100/KS100-0007
          speed: 921600
      bench-3:
        resources:
          KS100Board: {url: "ssh://root@10.0.0.8?identity=~/.ssh/lab"}

Of a target's resources the first of these kinds counts, ``KS100Board`` before the others; of several of one kind, the
one that ``SSHDriver`` is bound to. Everything else in the file is labgrid's business. Opens no board.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from firmware_bridge.errors import InputError
from firmware_bridge.host.address import DEFAULT_BAUD, BoardAddress, SerialAddress, SshAddress
from firmware_bridge.host.labgrid_yaml import UnresolvedTemplate, load_environment

__all__ = ["read_inventory"]

_MAX_BYTES = 1 << 20  # a lab of thousands of boards; more is another file given by mistake
_SERIAL_FOLDER = Path("/dev/ks100")  # of the udev rule that this project ships: a link by the port's serial number


def read_inventory(path: Path) -> dict[str, BoardAddress]:
    """Return the boards of an inventory by name, in the file's order.

    Raises:
        InputError: there is no such file, it is not an inventory, or a target has no way to reach a board.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{path} is too large for an inventory ({path.stat().st_size} bytes)")
        content = load_environment(path.read_bytes(), path.absolute().parent)
    except OSError as error:
        raise InputError(f"cannot read the inventory {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"the inventory {path} is not YAML: {' '.join(str(error).split())}") from error
    targets = content.get("targets") if isinstance(content, dict) else None
    if not isinstance(targets, dict) or not targets:
        raise InputError(f"the inventory {path} has no targets; it begins with `targets:`, then a name for each board")
    base = path.absolute().parent
    boards = {str(name): _address(f"{path}: target {name}", target, base) for name, target in targets.items()}
    seen: dict[str, str] = {}
    for name, address in boards.items():
        if (other := seen.setdefault(address.url, name)) != name:
            raise InputError(f"{path}: {name} and {other} are the same board, {address}; remove one")
    return boards


@dataclass(frozen=True, slots=True)
class _Item:
    """A resource or a driver."""

    kind: str
    name: str
    arguments: Mapping[str, object]

    def text(self, key: str, default: str | None = None) -> str:
        """Return an argument; raises KeyError without it and without a default."""
        value = self.arguments[key] if default is None else self.arguments.get(key, default)
        if isinstance(value, UnresolvedTemplate):
            raise InputError(f"{self.kind} has a {key} with an unknown variable: {value}; BASE and LG_* are known")
        if not isinstance(value, str):
            raise TypeError(f"{key} is not a text")
        return value


@dataclass(frozen=True, slots=True)
class _Target:
    """What a target's drivers say of its resource."""

    base: Path
    ssh_driver: _Item = field(default_factory=lambda: _Item("SSHDriver", "", {}))

    def pick(self, found: list[_Item]) -> _Item:
        """Return the one resource of a kind that counts."""
        if len(found) == 1:
            return found[0]
        bindings = self.ssh_driver.arguments.get("bindings")
        wanted = bindings.get("networkservice") if isinstance(bindings, dict) else None
        bound = [item for item in found if item.name and item.name == wanted]
        if len(bound) == 1:
            return bound[0]
        names = ", ".join(item.name or "one without a name" for item in found)
        raise InputError(f"{len(found)} resources are of the kind {found[0].kind} ({names}); bind SSHDriver to one")


def _address(where: str, target: object, base: Path) -> BoardAddress:
    parts = target if isinstance(target, dict) else {}
    try:
        resources = _items(parts.get("resources"))
        drivers = [item for item in _items(parts.get("drivers")) if item.kind == "SSHDriver"]
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    context = _Target(base, drivers[0]) if drivers else _Target(base)
    for kind, read in _KINDS.items():
        if found := [item for item in resources if item.kind == kind]:
            try:
                return read(context.pick(found), context)
            except KeyError as error:
                raise InputError(f"{where}: {kind} has no {error.args[0]!r}") from error
            except (TypeError, ValueError) as error:
                raise InputError(f"{where}: {kind} has a value of the wrong kind: {error}") from error
            except InputError as error:
                raise InputError(f"{where}: {error}") from error
    there = f" (there is {', '.join(item.kind for item in resources)})" if resources else ""
    raise InputError(f"{where} has no resource that leads to a board{there}; give it one of {', '.join(_KINDS)}")


def _items(found: object) -> list[_Item]:
    """Return resources or drivers; labgrid takes a mapping of them, or a list, with the class as key or as ``cls``."""
    groups = found if isinstance(found, list) else [found]
    pairs = list[tuple[str, object]]()
    for group in groups:
        if not isinstance(group, dict):
            if group:
                raise InputError(f"a resource or driver is written as a mapping, not as {str(group)[:40]!r}")
        elif isinstance(found, list) and "cls" in group:
            pairs.append((str(group["cls"]), group))
        else:
            pairs += group.items()
    items = []
    for kind, arguments in pairs:
        if not arguments:
            arguments = {}
        if isinstance(arguments, dict):
            # In a mapping the key is a name when the class stands inside.
            items.append(_Item(str(arguments.get("cls", kind)), str(arguments.get("name", kind)), arguments))
    return items


def _by_url(item: _Item, _: _Target) -> BoardAddress:
    return BoardAddress.parse(item.text("url"))


def _by_network(item: _Item, target: _Target) -> BoardAddress:
    driver = target.ssh_driver
    user = driver.text("username", "") or item.text("username", "")
    port, keyfile = item.text("port", ""), driver.text("keyfile", "")
    identity = target.base / os.path.expandvars(Path(keyfile).expanduser()) if keyfile else None
    return SshAddress(item.text("address"), user or None, int(port) if port else None, identity)


def _by_serial_port(item: _Item, _: _Target) -> BoardAddress:
    path = Path(item.text("port"))
    if not path.is_absolute():
        raise InputError(f"{item.kind} has the port {str(path)!r}; give its full path, e.g. /dev/ttyUSB0")
    return SerialAddress(path, int(item.text("speed", str(DEFAULT_BAUD))))


def _by_usb_serial_port(item: _Item, _: _Target) -> BoardAddress:
    match = item.arguments.get("match")
    serial = match.get("ID_SERIAL_SHORT") if isinstance(match, dict) else None
    if not isinstance(serial, str) or "/" in serial or not serial:
        raise InputError(
            f"{item.kind} is found by match: {{ID_SERIAL_SHORT: ...}} alone, as /dev/ks100/SERIAL; for another port "
            "give KS100Board or RawSerialPort"
        )
    return SerialAddress(_SERIAL_FOLDER / serial, int(item.text("speed", str(DEFAULT_BAUD))))


_KINDS: dict[str, Callable[[_Item, _Target], BoardAddress]] = {
    "KS100Board": _by_url,
    "NetworkService": _by_network,
    "RawSerialPort": _by_serial_port,
    "USBSerialPort": _by_usb_serial_port,
}
