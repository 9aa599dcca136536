"""Links over SSH: which client opens them. The system's OpenSSH does wherever there is one, paramiko elsewhere.

How a client connects is its own file's.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_bridge.links.ssh_server import SshClient, SshServer

if TYPE_CHECKING:
    from firmware_bridge.links.link import Link

__all__ = ["SshClient", "SshServer", "open_server", "open_ssh"]


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
