"""A real OpenSSH server of our own, on a loopback port, with the subsystem under test."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


class OwnSshd:
    """Keys, configuration and process of one server; `stop` ends it."""

    def __init__(
        self, folder: Path, subsystem: str, more: str = "", *, subsystem_name: str = "ks100", keys: str = ""
    ) -> None:
        """Start it; ``keys`` is a second file of authorized keys."""
        self.folder = folder
        self.identity, self.known_hosts = folder / "id", folder / "known_hosts"
        for name in ("host", "id", "other"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        (folder / "authorized").write_text((folder / "id.pub").read_text())
        (folder / "authorized").chmod(0o600)
        self.write_known_hosts("host")
        config = folder / "sshd_config"
        config.write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {folder}/host\n"
            f"AuthorizedKeysFile {folder}/authorized {keys}\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\n"
            f"PidFile none\nSubsystem {subsystem_name} {subsystem}\n{more}"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        self.user = getpass.getuser()
        self._process = subprocess.Popen([SSHD, "-D", "-e", "-f", str(config)], stderr=subprocess.DEVNULL)
        self._wait()

    def write_known_hosts(self, key: str) -> None:
        kind, value, *_ = (self.folder / f"{key}.pub").read_text().split()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {kind} {value}\n")

    def _wait(self) -> None:
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("sshd did not start")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(5)


BRIDGE = """
import os, socket, sys, threading
from firmware_bridge.links.socket import socket_link
from firmware_bridge.links.stdio import stdio_link
from firmware_bridge.errors import TransferError
there = socket.socket(socket.AF_UNIX); there.connect(sys.argv[1])
here, there = stdio_link(), socket_link(there)
def copy(source, sink):
    try:
        while True:
            if data := source.read(1.0):
                sink.write(data)
    except TransferError:
        os._exit(0)
threading.Thread(target=copy, args=(there, here), daemon=True).start()
copy(here, there)
"""


def bridge_command(folder: Path) -> str:
    """A subsystem that joins standard input and output to the socket at ``folder/s``, so that a test has both ends."""
    (folder / "bridge.py").write_text(BRIDGE)
    return f"{sys.executable} {folder}/bridge.py {folder}/s"
