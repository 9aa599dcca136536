"""A real OpenSSH server for one emulated board: own configuration, host key, client key, loopback address.

Owns the listening socket and starts one ``sshd -i`` for each connection, so that no port is ever guessed and no server
outlives the board. Needs no root.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import socket
import subprocess
from pathlib import Path
from urllib.parse import quote, urlencode

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from firmware_bridge.errors import BenchError
from firmware_bridge.files import write_atomically

__all__ = ["SshServer", "find_sshd", "login_url"]

_ADDRESS = "127.0.0.1"
_BACKLOG = 64
_SEPARATION = Path("/run/sshd")  # where a server that runs as root confines its unprivileged half
_CONFIG = """\
HostKey {host_key}
AuthorizedKeysFile {authorized}
AllowUsers {user}
UsePAM {pam}
StrictModes no
PidFile none
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
DisableForwarding yes
PermitTTY no
PermitUserRC no
PrintMotd no
PrintLastLog no
UseDNS no
LoginGraceTime 20
ClientAliveInterval 15
LogLevel ERROR
Subsystem ks100 {command}
"""


def find_sshd() -> Path:
    """Return the path of OpenSSH's server.

    Raises:
        BenchError: it is not installed.
    """
    found = shutil.which(
        "sshd", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin", "/sbin"))
    )
    if found is None:
        raise BenchError(
            "an emulated board needs OpenSSH's server, which is not installed; install it with: apt-get install "
            "openssh-server (it need not be started), or use the serial line: emu:?link=serial"
        )
    return Path(found).resolve()


class SshServer:
    """The server's keys in ``keys``, its configuration in ``work``; one child process a connection.

    Attributes:
        listener: the listening socket; `accept` takes a connection from it.
        url: the board's address, with identity and known hosts.
    """

    def __init__(self, keys: Path, work: Path, attach: list[str]) -> None:
        """Prepare the server; connections wait until `accept` is called.

        Args:
            keys: where host key and client key live; made at the first start.
            work: a folder of this run.
            attach: the command that is the subsystem.

        Raises:
            BenchError: OpenSSH's server is not installed.
            OSError: a file cannot be written.
        """
        self._sshd = find_sshd()
        self._children: list[subprocess.Popen[bytes]] = []
        self._config = work / "sshd_config"
        self.listener = socket.create_server((_ADDRESS, 0), backlog=_BACKLOG)
        self.url = login_url(keys, _user(), self.listener.getsockname()[1])
        self._write_config(keys, work, attach)

    def accept(self) -> None:
        """Accept one connection, and pass it to its own server process."""
        connection, _ = self.listener.accept()
        with connection:
            command = [str(self._sshd), "-i", "-e", "-f", str(self._config)]
            self._children.append(subprocess.Popen(command, stdin=connection.fileno(), stdout=connection.fileno()))

    def reap(self) -> None:
        """Forget connections that have ended."""
        self._children = [child for child in self._children if child.poll() is None]

    def close(self) -> None:
        """End all connections."""
        self.listener.close()
        for child in self._children:
            child.terminate()
        for child in self._children:
            try:
                child.wait(timeout=2)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def _write_config(self, keys: Path, work: Path, attach: list[str]) -> None:
        # sshd takes quotes away before it hands the command to a shell: so the command stands in a file.
        script = work / "attach"
        write_atomically(script, f"exec {shlex.join(attach)}\n".encode(), 0o600)
        text = _CONFIG.format(
            host_key=_quoted(keys / "host_ed25519"),
            authorized=_quoted(keys / "authorized_keys").replace("%", "%%"),  # a percent sign begins a token there
            user=_user(),
            pam="yes" if _locked_for_sshd() else "no",
            command="/bin/sh " + _quoted(shlex.quote(str(script))),
        )
        write_atomically(self._config, text.encode(), 0o600)
        if os.geteuid() == 0:
            _SEPARATION.mkdir(mode=0o755, parents=True, exist_ok=True)


def login_url(keys: Path, user: str, port: int) -> str:
    """Return the address of a board behind a loopback port; the keys in ``keys`` are made at the first call.

    These are ``host_ed25519`` and ``authorized_keys`` for the server, ``id_ed25519`` and ``known_hosts`` for hosts.

    Raises:
        OSError: a file cannot be written.
    """
    keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    host_key, identity = _key(keys / "host_ed25519"), _key(keys / "id_ed25519")
    write_atomically(keys / "authorized_keys", f"restrict {identity}\n".encode(), 0o600)
    write_atomically(keys / "known_hosts", f"[{_ADDRESS}]:{port} {host_key}\n".encode(), 0o600)
    options = urlencode({"identity": keys / "id_ed25519", "known_hosts": keys / "known_hosts"}, safe="/")
    return f"ssh://{quote(user)}@{_ADDRESS}:{port}?{options}"


def _key(path: Path) -> str:
    """Return the public half of the key at ``path``, which is made if it is not there."""
    if not path.exists():
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        )
        write_atomically(path, pem, 0o600)
    loaded = serialization.load_ssh_private_key(path.read_bytes(), password=None)
    public = loaded.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return public.decode()


def _quoted(text: Path | str) -> str:
    """Return a text as one argument of the configuration."""
    return '"' + str(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _user() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def _locked_for_sshd() -> bool:
    """Whether sshd without PAM would consider this account locked, which it can check only as root."""
    try:
        lines = Path("/etc/shadow").read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return any(line.startswith(f"{_user()}:!") for line in lines)
