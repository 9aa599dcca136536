"""An SSH server as a caller may name it, and the board's subsystem on it. Connects to nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from firmware_bridge.errors import BenchError

__all__ = ["SUBSYSTEM", "SshClient", "SshServer"]

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
