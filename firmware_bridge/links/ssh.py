"""Links over SSH: which client opens them. The system's OpenSSH does wherever there is one, paramiko elsewhere.

Owns the name of the board's subsystem and what a caller may say of the server; how a client connects is its own file's.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_bridge.errors import BenchError

if TYPE_CHECKING:
    from firmware_bridge.links.link import Link

__all__ = ["SUBSYSTEM", "SshClient", "SshServer", "open_server", "open_ssh"]

SUBSYSTEM = "ks100"
"""Name of the agent's subsystem in the board's ``sshd_config``."""


class SshClient(Enum):
    """The two clients."""

    OPENSSH = "openssh"
    PARAMIKO = "paramiko"


@dataclass(frozen=True, slots=True)
class SshServer:
    """An SSH server, as far as the caller names it; what is None is the client's to find.

    Attributes:
        host: name or address, or an alias of the SSH configuration.
        user: login name.
        port: TCP port.
        identity: private key file, or the public half of a key that the agent holds.
        known_hosts: file of host keys; the only one that counts then, and never written.
        config: an OpenSSH client configuration; the user's and the system's when None.
    """

    host: str
    user: str | None = None
    port: int | None = None
    identity: Path | None = None
    known_hosts: Path | None = None
    config: Path | None = None

    @property
    def name(self) -> str:
        """What a person would call it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ssh://{f'{self.user}@' if self.user else ''}{host}" + (f":{self.port}" if self.port else "")

    def check_files(self) -> None:
        """Refuse files that are not there; a file of host keys may be missing, it then knows no host.

        Raises:
            BenchError: a file is not there.
        """
        for what, file in (("identity file", self.identity), ("SSH configuration", self.config)):
            if file is not None and not Path(file).exists():
                raise BenchError(f"there is no {what} {file}")


def open_server(server: SshServer, client: SshClient | None = None) -> Link:
    """Connect, check the host key, log in by key, and start the subsystem; nothing is prompted for.

    Args:
        server: where to.
        client: by default OpenSSH where it is installed, else paramiko.

    Raises:
        BenchError: no client, no connection, an unknown or changed host key, no login, or no agent on the board. That
            a board has no agent may also be found out by the first read.
    """
    server.check_files()
    if client is None:
        client = SshClient.PARAMIKO if shutil.which("ssh") is None else SshClient.OPENSSH
    if client is SshClient.OPENSSH:
        from firmware_bridge.links.openssh import open_openssh

        return open_openssh(server)
    from firmware_bridge.links.paramiko_ssh import open_paramiko  # takes 0.2 s to import

    return open_paramiko(server)


def open_ssh(
    host: str,
    *,
    user: str | None = None,
    port: int | None = None,
    identity: Path | None = None,
    known_hosts: Path | None = None,
    config: Path | None = None,
    client: SshClient | None = None,
) -> Link:
    """Open the server that these name, see `SshServer`; arguments and errors otherwise as for `open_server`."""
    return open_server(SshServer(host, user, port, identity, known_hosts, config), client)
