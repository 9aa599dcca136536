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

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from firmware_bridge.errors import InputError
from firmware_bridge.host.address import DEFAULT_BAUD, BoardAddress, SerialAddress, SshAddress
from firmware_bridge.host.discovery import identity_of
from firmware_bridge.host.labgrid_yaml import Placed, UnresolvedTemplate, load_environment
from firmware_bridge.input_files import FileKind, read_bytes

__all__ = ["read_inventory", "resolve_board"]

_BAUDS = 300, 12_000_000
_SERIAL_FOLDER = Path("/dev/ks100")  # of the udev rule that this project ships: a link by the port's serial number


def resolve_board(board: str, named: Mapping[str, BoardAddress], inventory: Path | None) -> BoardAddress:
    """Return the address of a board that is given as a URL, or by its name in an inventory.

    Args:
        board: the URL or the name.
        named: the boards of the inventory.
        inventory: its file, to be named in errors; None without one.

    Raises:
        InputError: neither an address nor a board of the inventory.
    """
    if board in named:
        return named[board]
    if inventory is not None and ":" not in board:
        close = difflib.get_close_matches(board, named, 1)
        hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(named)}"
        raise InputError(f"{inventory} has no board {board!r}; {hint}")
    try:
        return BoardAddress.parse(board)
    except InputError as error:
        if ":" in board:
            raise
        raise InputError(f"{error}, or the name of a board with --inventory FILE") from error


def read_inventory(path: Path) -> dict[str, BoardAddress]:
    """Return the boards of an inventory by name, in the file's order.

    Raises:
        InputError: the file does not exist or is not an inventory, or a target has no way to reach a board.
    """
    data = read_bytes(path, FileKind.INVENTORY)
    try:
        content = load_environment(data, path.absolute().parent)
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f":{error.problem_mark.line + 1}"
        said = " ".join(filter(None, [error.context, error.problem]))
        raise InputError(f"{path}{line}: the inventory is not YAML: {said}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"the inventory {path} is not YAML: {' '.join(str(error).split())}") from error
    targets = content.get("targets") if isinstance(content, Placed) else None
    if not isinstance(targets, Placed) or not targets:
        raise InputError(f"the inventory {path} has no targets; it begins with `targets:`, then a name for each board")
    base = path.absolute().parent
    places = {name: f"{path}:{targets.lines[name]}: target {name}" for name in targets}
    boards = {name: _address(path, targets.lines[name], name, target, base) for name, target in targets.items()}
    seen: dict[str, str] = {}
    for name, address in boards.items():
        _check_name(places[name], name)
        if (other := seen.setdefault(identity_of(address), name)) != name:
            raise InputError(f"{places[name]} is the same board as {other}, {boards[other]}; remove one")
    return boards


def _check_name(place: str, name: str) -> None:
    """Refuse a name that could not be given on a command line."""
    if not name or name != name.strip() or not name.isprintable():
        raise InputError(
            f"{place}: {name!r} is not valid as a board's name; use letters, digits and signs, no spaces around them"
        )
    if name.startswith("-") or ":" in name:
        what = "an option" if name.startswith("-") else "an address"
        raise InputError(f"{place}: {name!r} looks like {what}; give the target another name")


@dataclass(frozen=True, slots=True)
class _Item:
    """A resource or a driver."""

    kind: str
    name: str
    arguments: Mapping[str, object]

    @property
    def line(self) -> int | None:
        """Where its arguments begin in the file, if that is known."""
        return self.arguments.line if isinstance(self.arguments, Placed) else None

    def text(self, key: str, default: str | None = None) -> str:
        """Return an argument; raises KeyError without it and without a default. Null is as good as none."""
        value = self.arguments.get(key)
        if value is None:
            if default is None:
                raise KeyError(key)
            return default
        if isinstance(value, UnresolvedTemplate):
            raise InputError(f"{self.kind} has a {key} with an unknown variable: {value}; BASE and LG_* are known")
        if not isinstance(value, str):
            raise TypeError(f"{key} is not a text")
        return value

    def number(self, key: str, lowest: int, highest: int) -> int | None:
        """Return a number of the arguments, None without it."""
        text = self.text(key, "")
        if not text:
            return None
        if not (text.isascii() and text.isdecimal()) or not lowest <= int(text) <= highest:
            raise InputError(f"{self.kind} has the {key} {text!r}; it is a number from {lowest} to {highest}")
        return int(text)


@dataclass(frozen=True, slots=True)
class _Target:
    """The settings of a target's drivers for its resource."""

    base: Path
    ssh_driver: _Item = field(default_factory=lambda: _Item("SSHDriver", "", {}))

    def pick(self, found: list[_Item]) -> _Item:
        """Return the one resource of a kind that counts."""
        if len(found) == 1:
            return found[0]
        bindings = self.ssh_driver.arguments.get("bindings")
        name = bindings.get("networkservice") if isinstance(bindings, dict) else None
        bound = [item for item in found if item.name and item.name == name]
        if len(bound) == 1:
            return bound[0]
        names = ", ".join(item.name or "one without a name" for item in found)
        raise InputError(f"{len(found)} resources are of the kind {found[0].kind} ({names}); bind SSHDriver to one")


def _address(path: Path, line: int, name: str, target: object, base: Path) -> BoardAddress:
    where = f"{path}:{line}: target {name}"
    parts = target if isinstance(target, dict) else {}
    try:
        resources = _items(parts.get("resources"))
        drivers = [item for item in _items(parts.get("drivers")) if item.kind == "SSHDriver"]
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    context = _Target(base, drivers[0]) if drivers else _Target(base)
    for kind, read in _KINDS.items():
        if found := [item for item in resources if item.kind == kind]:
            where = f"{path}:{found[0].line or line}: target {name}"
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
    keyfile = driver.text("keyfile", "")
    identity = target.base / os.path.expandvars(Path(keyfile).expanduser()) if keyfile else None
    host = item.text("address")
    if not host or "@" in host or "/" in host:
        raise InputError(
            f"{item.kind} has the address {host!r}; it is a host's name or number, the user stands in username"
        )
    return SshAddress(host, user or None, item.number("port", 1, 65535), identity)


def _by_serial_port(item: _Item, _: _Target) -> BoardAddress:
    path = Path(item.text("port"))
    if not path.is_absolute():
        raise InputError(f"{item.kind} has the port {str(path)!r}; give its full path, e.g. /dev/ttyUSB0")
    return SerialAddress(path, item.number("speed", *_BAUDS) or DEFAULT_BAUD)


def _by_usb_serial_port(item: _Item, _: _Target) -> BoardAddress:
    match = item.arguments.get("match")
    serial = match.get("ID_SERIAL_SHORT") if isinstance(match, dict) else None
    if not isinstance(serial, str) or "/" in serial or not serial:
        raise InputError(
            f"{item.kind} is found by match: {{ID_SERIAL_SHORT: ...}} alone, as /dev/ks100/SERIAL; for another port "
            "give KS100Board or RawSerialPort"
        )
    return SerialAddress(_SERIAL_FOLDER / serial, item.number("speed", *_BAUDS) or DEFAULT_BAUD)


_KINDS: dict[str, Callable[[_Item, _Target], BoardAddress]] = {
    "KS100Board": _by_url,
    "NetworkService": _by_network,
    "RawSerialPort": _by_serial_port,
    "USBSerialPort": _by_usb_serial_port,
}
