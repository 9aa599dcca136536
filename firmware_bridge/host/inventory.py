"""The boards of a lab by name, read from a labgrid environment file (YAML).

    targets:
      bench-1:
        resources:
          NetworkService: {address: 10.0.0.7, username: root}
      bench-2:
        resources:
        - RawSerialPort: {port: /dev/ks100/KS100-0007, speed: 921600}
      bench-3:
        resources:
          KS100Board: {url: "ssh://root@10.0.0.8?identity=~/.ssh/lab"}

Of a target's resources the first of these three kinds counts, ``KS100Board`` before the others; everything else in the
file is labgrid's business. Opens no board.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import yaml

from firmware_bridge.errors import InputError
from firmware_bridge.host.address import DEFAULT_BAUD, BoardAddress, SerialAddress, SshAddress

__all__ = ["read_inventory"]

_MAX_BYTES = 1 << 20  # a lab of thousands of boards; more is another file given by mistake


def read_inventory(path: Path) -> dict[str, BoardAddress]:
    """Return the boards of an inventory by name, in the file's order.

    Raises:
        InputError: there is no such file, it is not an inventory, or a target has no way to reach a board.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{path} is too large for an inventory ({path.stat().st_size} bytes)")
        content = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the inventory {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"the inventory {path} is not YAML: {' '.join(str(error).split())}") from error
    targets = content.get("targets") if isinstance(content, dict) else None
    if not isinstance(targets, dict) or not targets:
        raise InputError(f"the inventory {path} has no targets; it begins with `targets:`, then a name for each board")
    boards = {str(name): _address(f"{path}: target {name}", target) for name, target in targets.items()}
    seen: dict[str, str] = {}
    for name, address in boards.items():
        if (other := seen.setdefault(address.url, name)) != name:
            raise InputError(f"{path}: {name} and {other} are the same board, {address}; remove one")
    return boards


def _address(where: str, target: object) -> BoardAddress:
    resources = dict(_resources(target))
    for kind, read in _KINDS.items():
        if kind in resources:
            try:
                return read(resources[kind])
            except KeyError as error:
                raise InputError(f"{where}: {kind} has no {error.args[0]!r}") from error
            except (TypeError, ValueError) as error:
                raise InputError(f"{where}: {kind} has a value of the wrong kind: {error}") from error
            except InputError as error:
                raise InputError(f"{where}: {error}") from error
    raise InputError(f"{where} has no resource that leads to a board; give it one of {', '.join(_KINDS)}")


def _resources(target: object) -> Iterator[tuple[str, Mapping[str, object]]]:
    """Return a target's resources by class; labgrid takes a mapping of them, or a list of such mappings."""
    found = target.get("resources") if isinstance(target, dict) else None
    for group in found if isinstance(found, list) else [found]:
        for kind, arguments in group.items() if isinstance(group, dict) else ():
            if arguments is None or isinstance(arguments, dict):
                yield str(kind), arguments or {}


def _by_url(arguments: Mapping[str, object]) -> BoardAddress:
    return BoardAddress.parse(str(arguments["url"]))


def _by_network(arguments: Mapping[str, object]) -> BoardAddress:
    user = arguments.get("username")
    port = arguments.get("port")
    return SshAddress(str(arguments["address"]), str(user) if user else None, None if port is None else int(str(port)))


def _by_serial_port(arguments: Mapping[str, object]) -> BoardAddress:
    return SerialAddress(Path(str(arguments["port"])), int(str(arguments.get("speed", DEFAULT_BAUD))))


_KINDS: dict[str, Callable[[Mapping[str, object]], BoardAddress]] = {
    "KS100Board": _by_url,
    "NetworkService": _by_network,
    "RawSerialPort": _by_serial_port,
}
