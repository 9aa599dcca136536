"""One virtual machine: QEMU with a board's disks, its console, one loopback port to its SSH server, its serial port."""

from __future__ import annotations

import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.errors import BenchError
from hil.virtual.qemu.image import Image

__all__ = ["Disks", "Machine", "free_port"]

READY = "ready"
"""What the agent prints on the console once hosts can connect."""

_LOOPBACK = "127.0.0.1"
_POLL_S = 0.1
_STOP_S = 5.0


@dataclass(frozen=True, slots=True)
class Disks:
    """What a machine starts from.

    Attributes:
        image: the system, read-only.
        state: the board's own disk (ext4, raw).
        start: tar of what this start brings, read-only.
    """

    image: Image
    state: Path
    start: Path


class Machine:
    """A running machine; `kill` is pulling its plug."""

    def __init__(self, disks: Disks, work: Path, ssh_port: int) -> None:
        """Start it; `await_agent` waits until it is up.

        Args:
            disks: what it starts from.
            work: folder for console log and sockets.
            ssh_port: loopback port that leads to the board's SSH server.

        Raises:
            OSError: QEMU does not start.
        """
        self.console = work / "console.log"
        self.serial_socket = work / "serial.sock"
        self._errors = work / "qemu.log"
        self.console.unlink(missing_ok=True)
        with self._errors.open("wb") as errors:
            # setpriv: QEMU ends with the process that started it, also when that is killed.
            command = ["setpriv", "--pdeathsig", "KILL", *self._command(disks, ssh_port)]
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors)

    def await_agent(self, patience_s: float) -> None:
        """Return when the agent serves.

        Raises:
            BenchError: the machine ended, or its time is up.
        """
        deadline_s = time.monotonic() + patience_s
        while READY not in self._said(self.console):
            if self._process.poll() is not None:
                raise BenchError(f"QEMU ended ({self._process.returncode}): {self._last(self._errors)}")
            if time.monotonic() > deadline_s:
                raise BenchError(f"the QEMU board is not up after {patience_s:.0f} s: {self._last(self.console)}")
            time.sleep(_POLL_S)

    def connect_serial(self) -> socket.socket:
        """Connect to the other end of the board's serial port.

        Raises:
            OSError: the machine has ended.
        """
        connected = socket.socket(socket.AF_UNIX)
        connected.connect(str(self.serial_socket))
        return connected

    @property
    def runs(self) -> bool:
        """Whether it is powered."""
        return self._process.poll() is None

    def kill(self) -> None:
        """Cut its power: what the guest has not synchronised is lost."""
        self._process.kill()
        self._process.wait(timeout=_STOP_S)

    def _command(self, disks: Disks, ssh_port: int) -> list[str]:
        drives = ((disks.image.disk, "on"), (disks.state, "off"), (disks.start, "on"))
        options = [
            "-machine virt -cpu cortex-a53 -smp 2 -m 512 -accel tcg,thread=multi -nodefaults -display none",
            "-device virtio-rng-pci",
            f"-netdev user,id=net,restrict=on,hostfwd=tcp:{_LOOPBACK}:{ssh_port}-:22",
            "-device virtio-net-pci,netdev=net,romfile=",
            "-device pci-serial,chardev=uart",
        ]
        command = ["qemu-system-aarch64", *" ".join(options).split()]
        command += ["-kernel", str(disks.image.kernel), "-initrd", str(disks.image.initramfs)]
        command += ["-append", "console=ttyAMA0 quiet loglevel=4 panic=-1", "-no-reboot"]
        command += ["-serial", f"file:{self.console}"]  # the console freezes the machine if it is not drained
        command += ["-chardev", f"socket,id=uart,path={self.serial_socket},server=on,wait=off"]
        for number, (path, read_only) in enumerate(drives):
            command += [
                "-drive",
                f"file={path},if=none,id=d{number},format=raw,readonly={read_only},cache=writethrough",
            ]
            command += ["-device", f"virtio-blk-pci,drive=d{number}"]
        return command

    @staticmethod
    def _said(path: Path) -> list[str]:
        try:
            return path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []

    @classmethod
    def _last(cls, path: Path) -> str:
        return next((line for line in reversed(cls._said(path)) if line.strip()), "it said nothing")


def free_port() -> int:
    """Return a loopback port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port
