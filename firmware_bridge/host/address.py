"""Where a board is, as a URL.

    emu:                              a fresh emulated board          emu:DIR?link=serial
    qemu:                             a board in QEMU                 qemu:DIR?board=NAME
    ssh://user@host:port?identity=FILE&known_hosts=FILE&config=FILE&client=openssh|paramiko
    serial:///dev/ks100/SERIAL?baud=921600&fastest=3000000
    SCHEME:...                        what an installed distribution registers, see `firmware_bridge.links.registry`

Only parses; `firmware_bridge.host.open` connects.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import ClassVar
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from firmware_bridge.errors import InputError
from firmware_bridge.links.registry import registered_links
from firmware_bridge.links.ssh_server import SshClient, SshServer
from firmware_bridge.links.tty import FASTEST_BAUD

__all__ = [
    "DEFAULT_BAUD",
    "BoardAddress",
    "EmulatedAddress",
    "LinkKind",
    "QemuAddress",
    "RegisteredAddress",
    "SerialAddress",
    "SshAddress",
    "VirtualAddress",
]

DEFAULT_BAUD = 921600

_OWN_SCHEMES = frozenset({"emu", "qemu", "ssh", "serial"})
_FORMS = "emu:, qemu:, ssh://user@host, serial:///dev/ttyUSB0?baud=921600"


class LinkKind(Enum):
    """Which of a virtual board's links to use."""

    SSH = "ssh"
    SERIAL = "serial"


class BoardAddress(ABC):
    """Base of the kinds of address."""

    __slots__ = ()

    @property
    @abstractmethod
    def url(self) -> str:
        """The address as text; ``BoardAddress.parse(a.url) == a``."""

    @property
    def is_ephemeral(self) -> bool:
        """Whether it means another board each time: a virtual one that lives as long as it is used."""
        return False

    @property
    def is_serial(self) -> bool:
        """Whether it leads over a serial line."""
        return False

    def __str__(self) -> str:
        return self.url

    @staticmethod
    def parse(url: str) -> BoardAddress:
        """Return the address that ``url`` means.

        Raises:
            InputError: not an address, or with a part unknown to its kind.
        """
        if not url.isprintable() or "%00" in url:
            raise InputError(
                f"{url!r} is not a board's address: it contains a character that is not allowed in addresses"
            )
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise InputError(f"{url!r} is not a board's address: {error}") from error
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        if parts.fragment:
            raise InputError(f"{url!r} is not a board's address: '#' must be written as %23")
        if parts.scheme not in _OWN_SCHEMES and parts.scheme in registered_links():
            return RegisteredAddress(parts.scheme, url)
        match parts.scheme:
            case "emu" | "qemu":
                address = _parse_virtual(url, parts, options)
            case "ssh":
                address = _parse_ssh(url, parts, port, options)
            case "serial":
                address = _parse_serial(url, parts, options)
            case _:
                others = "".join(f", {scheme}:..." for scheme in sorted(registered_links()))
                raise InputError(f"{url!r} is not a board's address; give one of {_FORMS}{others}")
        if options:
            raise InputError(f"{url!r}: unknown option {next(iter(options))!r} for {parts.scheme}:")
        return address


@dataclass(frozen=True, slots=True)
class VirtualAddress(BoardAddress):
    """A virtual board of this machine.

    Attributes:
        path: the folder with its state; None for a fresh board that lives as long as it is used.
        link: its kind of link.
        board: its kind, a profile's name or TOML file; what the folder holds, else the default kind, when None.
    """

    path: Path | None = None
    link: LinkKind = LinkKind.SSH
    board: str | None = None

    scheme: ClassVar[str]

    @property
    def url(self) -> str:
        """The address as text."""
        options = {} if self.link is LinkKind.SSH else {"link": self.link.value}
        options |= {} if self.board is None else {"board": self.board}
        path = quote(str(self.path)) if self.path else ""
        return f"{self.scheme}:{path}" + (f"?{urlencode(options, safe='/')}" if options else "")

    @property
    def is_ephemeral(self) -> bool:
        """See `BoardAddress.is_ephemeral`."""
        return self.path is None

    @property
    def is_serial(self) -> bool:
        """See `BoardAddress.is_serial`."""
        return self.link is LinkKind.SERIAL


class EmulatedAddress(VirtualAddress):
    """An emulated board."""

    __slots__ = ()
    scheme = "emu"


class QemuAddress(VirtualAddress):
    """A board in QEMU."""

    __slots__ = ()
    scheme = "qemu"


@dataclass(frozen=True, slots=True)
class SshAddress(SshServer, BoardAddress):
    """A board on the network.

    Attributes:
        client: what connects; OpenSSH where it is installed when None.
    """

    client: SshClient | None = None

    @property
    def url(self) -> str:
        """The address as text."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        user = f"{quote(self.user, safe='')}@" if self.user else ""
        options = {"identity": self.identity, "known_hosts": self.known_hosts, "config": self.config}
        given = {name: str(value) for name, value in options.items() if value is not None}
        if self.client is not None:
            given["client"] = self.client.value
        port = f":{self.port}" if self.port is not None else ""
        return f"ssh://{user}{host}{port}" + (f"?{urlencode(given, safe='/')}" if given else "")


@dataclass(frozen=True, slots=True)
class SerialAddress(BoardAddress):
    """A board on a serial port of this machine.

    Attributes:
        path: of the port.
        baud: rate at which a session begins, as the board's agent is set to.
        fastest: how far a session may raise it when it has much to send.
    """

    path: Path
    baud: int = DEFAULT_BAUD
    fastest: int = FASTEST_BAUD

    @property
    def is_serial(self) -> bool:
        """See `BoardAddress.is_serial`."""
        return True

    @property
    def url(self) -> str:
        """The address as text."""
        fastest = "" if self.fastest == FASTEST_BAUD else f"&fastest={self.fastest}"
        return f"serial://{quote(str(self.path))}?baud={self.baud}{fastest}"


@dataclass(frozen=True, slots=True)
class RegisteredAddress(BoardAddress):
    """A board behind a link that another distribution brings; only that one knows what the URL means.

    Attributes:
        scheme: under which it is registered.
        given: the URL.
    """

    scheme: str
    given: str

    @property
    def url(self) -> str:
        """The address as text."""
        return self.given


def _parse_virtual(url: str, parts: SplitResult, options: dict[str, str]) -> BoardAddress:
    path = Path(unquote(parts.netloc + parts.path)) if parts.netloc or parts.path else None
    name = options.pop("link", LinkKind.SSH.value)
    try:
        link = LinkKind(name)
    except ValueError:
        raise InputError(f"{url!r}: link must be 'ssh' or 'serial', not {name!r}") from None
    board = options.pop("board", None)
    if board == "":
        raise InputError(f"{url!r}: board is a profile's name or a TOML file")
    return (EmulatedAddress if parts.scheme == "emu" else QemuAddress)(path, link, board)


def _parse_ssh(url: str, parts: SplitResult, port: int | None, options: dict[str, str]) -> SshAddress:
    if not parts.hostname or parts.path not in ("", "/"):
        raise InputError(f"{url!r} is not a board's address; give ssh://user@host or ssh://user@host:port")
    if parts.password is not None:
        raise InputError("an address must not contain a password; use a key: ssh://user@host?identity=FILE")
    files = [options.pop(name, None) for name in ("identity", "known_hosts", "config")]
    identity, known_hosts, config = (Path(file).expanduser() if file else None for file in files)
    user = unquote(parts.username) if parts.username else None
    host, client = _host_as_written(parts), options.pop("client", None)
    if "%" in host or " " in host:
        raise InputError(f"{url!r} is not a board's address: {host!r} is not a host name")
    if host.startswith("-") or (user or "").startswith("-"):
        raise InputError(f"{url!r} is not a board's address: neither user nor host begins with '-'")
    try:
        return SshAddress(host, user, port, identity, known_hosts, config, SshClient(client) if client else None)
    except ValueError:
        raise InputError(f"{url!r}: client must be 'openssh' or 'paramiko', not {client!r}") from None


def _host_as_written(parts: SplitResult) -> str:
    """Return the host without folding its case: it may be an alias of the SSH configuration."""
    host = parts.netloc.rpartition("@")[2]
    return host[1 : host.index("]")] if host.startswith("[") else host.partition(":")[0]


def _parse_serial(url: str, parts: SplitResult, options: dict[str, str]) -> SerialAddress:
    if parts.netloc or not parts.path.startswith("/"):
        raise InputError(f"{url!r} is not a board's address; give the port's full path: serial:///dev/ttyUSB0")
    baud, fastest = (
        _baud(url, name, options.pop(name, str(usual)))
        for name, usual in (("baud", DEFAULT_BAUD), ("fastest", FASTEST_BAUD))
    )
    return SerialAddress(Path(unquote(parts.path)), baud, fastest)


def _baud(url: str, name: str, text: str) -> int:
    if not text.isdecimal() or not 300 <= int(text) <= 12_000_000:
        raise InputError(f"{url!r}: {name} must be a number from 300 to 12000000, not {text!r}")
    return int(text)
