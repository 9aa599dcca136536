"""The way to a board over SSH: what OpenSSH's client configuration says of it, hop by hop. Connects nothing.

Honoured of ``~/.ssh/config`` and ``/etc/ssh/ssh_config``: Host and Match, HostName, User, Port, IdentityFile,
IdentitiesOnly, UserKnownHostsFile, HostKeyAlias, ProxyJump (chains too) and ProxyCommand.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import paramiko

from firmware_bridge.errors import BenchError

__all__ = ["Hop", "Route", "find_route"]

_SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
_MAX_HOPS = 8  # a configuration in which two hosts jump through each other has no end


@dataclass(frozen=True, slots=True)
class Hop:
    """One SSH server on the way, the board itself or a host in front of it.

    Attributes:
        name: what a person would call it.
        host: name or address to connect to.
        port: TCP port.
        user: login name; None for the local user's.
        identities: private key files to offer; without any, the agent's keys and the usual files are.
        agent: whether the agent's keys are offered too.
        known_hosts: files of host keys; without any, the user's.
        key_name: under which name the host key is known, when it is not the host's.
    """

    name: str
    host: str
    port: int
    user: str | None = None
    identities: tuple[Path, ...] = ()
    agent: bool = True
    known_hosts: tuple[Path, ...] = ()
    key_name: str | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """All hops, the board last; ``command`` is a program whose input and output lead to the first."""

    hops: tuple[Hop, ...]
    command: str | None = None


def find_route(
    host: str,
    *,
    user: str | None = None,
    port: int | None = None,
    identity: Path | None = None,
    known_hosts: Path | None = None,
    config: Path | None = None,
) -> Route:
    """Return the way to ``host``; what is given wins over what the configuration says of the host.

    Raises:
        BenchError: the configuration cannot be read, or its jumps go in a circle.
    """
    asked = Hop(
        _name(user, host, port),
        host,
        port or 0,
        user,
        () if identity is None else (identity,),
        agent=identity is None,
        known_hosts=() if known_hosts is None else (known_hosts,),
    )
    return _route(asked, _read_config(config), _MAX_HOPS)


def _name(user: str | None, host: str, port: int | None) -> str:
    return f"ssh://{f'{user}@' if user else ''}{host}" + (f":{port}" if port else "")


def _read_config(path: Path | None) -> paramiko.SSHConfig:
    config = paramiko.SSHConfig()
    for file in (Path("~/.ssh/config").expanduser(), _SYSTEM_CONFIG) if path is None else (path,):
        try:
            with file.open(encoding="utf-8") as stream:
                config.parse(stream)
        except FileNotFoundError as error:
            if path is not None:
                raise BenchError(f"there is no SSH configuration {path}") from error
        except (OSError, UnicodeDecodeError, paramiko.ConfigParseError) as error:
            raise BenchError(f"cannot read the SSH configuration {file}: {error}") from error
    return config


def _route(asked: Hop, config: paramiko.SSHConfig, hops_left: int) -> Route:
    if hops_left == 0:
        raise BenchError(
            f"the SSH configuration leads to {asked.name} through more than {_MAX_HOPS} hosts, in a circle?"
        )
    try:
        said = config.lookup(asked.host)
        hop = _with(asked, said)
    except (paramiko.ConfigParseError, paramiko.CouldNotCanonicalize, ImportError, ValueError) as error:
        raise BenchError(f"the SSH configuration says nothing usable of {asked.name}: {error}") from error
    jumps = str(said.get("proxyjump", "none"))
    if jumps.lower() == "none":
        return Route((hop,), said.get("proxycommand"))
    before: tuple[Hop, ...] = ()
    command = None
    for index, jump in enumerate(jumps.split(",")):
        reached = _jump(jump.strip(), asked)
        if index:  # only the first of a chain is looked up with jumps of its own
            before += (_with(reached, config.lookup(reached.host)),)
        else:
            before, command = (first := _route(reached, config, hops_left - 1)).hops, first.command
    return Route((*before, hop), command)


def _jump(text: str, asked: Hop) -> Hop:
    try:
        parts = urlsplit(text if text.startswith("ssh://") else f"ssh://{text}")
        if not parts.hostname:
            raise ValueError("no host")
        return Hop(_name(parts.username, parts.hostname, parts.port), parts.hostname, parts.port or 0, parts.username)
    except ValueError as error:
        raise BenchError(f"the SSH configuration's ProxyJump {text!r} of {asked.name} is no host: {error}") from error


def _with(asked: Hop, said: paramiko.SSHConfigDict) -> Hop:
    files = tuple(Path(file).expanduser() for file in said.get("identityfile", ()))
    known = tuple(Path(file).expanduser() for file in str(said.get("userknownhostsfile", "")).split())
    return Hop(
        asked.name,
        str(said.get("hostname", asked.host)),
        asked.port or int(said.get("port", 22)),
        asked.user or said.get("user"),
        asked.identities or files,
        agent=asked.agent and str(said.get("identitiesonly", "no")).lower() != "yes",
        known_hosts=asked.known_hosts or known,
        key_name=said.get("hostkeyalias"),
    )
