"""The QEMU board: a KS-100 as a real aarch64 Linux, supervised by a separate process until its parent ends.

Its kernel, disk, SSH server, serial driver and INA226 driver are real; the NPU's time and power are modelled, and
the software path takes as long as an emulated processor takes. See docs/adr/0003.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import secrets
import select
import shutil
import signal
import socket
import sys
import threading
from pathlib import Path

from firmware_bridge.errors import BridgeError
from firmware_bridge.links.tty import make_raw
from hil.virtual.handle import (
    ENDPOINTS,
    LOCK,
    SERIAL,
    VirtualBoard,
    checked_profile,
    factory_profile,
    lock_state,
    say,
    serial_number,
)
from hil.virtual.line import PacedLine
from hil.virtual.qemu.image import build_image
from hil.virtual.qemu.machine import Disks, Machine, free_port
from hil.virtual.qemu.packages import run
from hil.virtual.qemu.start import write_start
from hil.virtual.sshd import login_url

__all__ = ["QemuBoard", "main"]

_BAUD = 921600
_UART_BAUD = 115200  # accepted by the machine's 16550; the bridge determines the pace of the line
_BOOT_S = 240.0
_STATE_SIZE = "256M"  # sparse
_POLL_S = 0.5
_READ_BYTES = 1024


class QemuBoard(VirtualBoard):
    """A running QEMU board."""

    start_s = 900.0  # the first start builds the system

    @classmethod
    def start(
        cls, state: Path, *, profile: str | None = None, runtime: str | None = None, serial_number: str | None = None
    ) -> QemuBoard:
        """Start a board; it ends with `stop`, or by itself when this process does.

        Args:
            state: its folder: empty or missing makes a factory-new board.
            profile: kind of a factory-new board, a profile's name or TOML file; the default kind if None.
            runtime: ``litert`` or ``tflite-runtime``; by default what the profile ships.
            serial_number: of a factory-new board; by default a random one.

        Raises:
            InputError: the profile does not exist, or is invalid.
            BenchError: it does not start: a tool is missing or failed, or the folder's board runs already.
        """
        options = [] if profile is None else ["--profile", checked_profile(profile)]
        options += ["--runtime", runtime] if runtime else []
        options += ["--serial-number", serial_number] if serial_number else []
        return cls.spawn(state, "hil.virtual.qemu.board", options)

    def cut_power(self) -> None:
        """Cut the power and restore it at once; the board boots from its disk."""
        os.kill(self.process, signal.SIGUSR1)


def main(arguments: list[str]) -> int:
    """Run one board; prints its endpoints, or the reason for none, as one JSON line on standard output."""
    options = argparse.ArgumentParser(prog="hil.virtual.qemu.board", description=__doc__)
    options.add_argument("--state", type=Path, required=True)
    options.add_argument("--profile")
    options.add_argument("--runtime")
    options.add_argument("--serial-number")
    try:
        with contextlib.closing(_Board(options.parse_args(arguments))) as board:
            say(board.start())
            board.run()
    except (BridgeError, OSError) as error:
        say({"error": str(error)})
        return 3
    return 0


class _Board:
    """The machine and its serial line."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._state: Path = options.state
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = lock_state(self._state / LOCK)
        self._work = self._state / "run"
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir(mode=0o700)
        self._profile = factory_profile(self._state, options.profile)
        factory = options.serial_number or f"QEMU-{secrets.token_hex(4).upper()}"
        self._serial_number = serial_number(self._state / SERIAL, factory)
        self._port = free_port()
        self._stop = threading.Event()
        self._cut = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        signal.signal(signal.SIGUSR1, lambda *_: self._cut.set())
        self._line = PacedLine(_BAUD)
        self._carrier = threading.Thread(target=self._bridge, name="bridge", daemon=True)
        self._machine: Machine | None = None
        self._disks: Disks | None = None

    def start(self) -> dict[str, object]:
        """Boot, and return the endpoints once the agent answers."""
        image = build_image(_log)
        disk = self._state / "disk.ext4"
        if not disk.exists():
            run(["mke2fs", "-q", "-t", "ext4", "-L", "state", str(disk), _STATE_SIZE])
        self._disks = Disks(image, disk, self._work / "start.tar")
        url = self._write_start()
        self._line.start()
        self._carrier.start()
        self._boot()
        endpoints: dict[str, object] = {
            "process": os.getpid(),
            "serial_number": self._serial_number,
            "ssh": url,
            "serial": f"serial://{self._line.host_tty}?baud={_BAUD}",
        }
        (self._state / ENDPOINTS).write_text(json.dumps(endpoints))
        return endpoints

    def run(self) -> None:
        """Keep the board up until standard input closes or a signal comes."""
        while not self._stop.is_set():
            ready, _, _ = select.select([0], [], [], _POLL_S)
            if ready and not os.read(0, 4096):
                return
            if self._cut.is_set() or (self._machine is not None and not self._machine.runs):
                self._cut.clear()
                self._boot()

    def close(self) -> None:
        """Switch it off, and leave only the state."""
        self._stop.set()
        if self._machine is not None:
            self._machine.kill()
        if self._carrier.is_alive():
            self._carrier.join(timeout=2)
        self._line.close()
        (self._state / ENDPOINTS).unlink(missing_ok=True)
        shutil.rmtree(self._work, ignore_errors=True)
        os.close(self._lock)

    def _write_start(self) -> str:
        assert self._disks is not None
        options = self._options
        keys = self._state / "ssh"
        url = login_url(keys, "root", self._port)
        agent = {"serial-number": self._serial_number}
        agent |= {"baud": str(_UART_BAUD), "fastest-baud": str(_UART_BAUD)}
        agent |= {"runtime": options.runtime} if options.runtime else {}
        write_start(self._disks.start, self._profile, agent, keys)
        return url

    def _boot(self) -> None:
        assert self._disks is not None
        if self._machine is not None:
            self._machine.kill()
        self._machine = Machine(self._disks, self._work, self._port)
        self._machine.await_agent(_BOOT_S)

    def _bridge(self) -> None:
        """Carry bytes between the paced line and the machine's serial port, over every boot."""
        tty = os.open(self._line.board_tty, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        make_raw(tty, _BAUD)
        while not self._stop.is_set():
            machine = self._machine
            try:
                if machine is not None:
                    with machine.connect_serial() as port:
                        _carry(tty, port, self._stop)
            except OSError:
                pass
            self._stop.wait(_POLL_S)


def _log(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _carry(tty: int, port: socket.socket, stop: threading.Event) -> None:
    """Carry bytes both ways until the port closes."""
    while not stop.is_set():
        ready, _, _ = select.select([tty, port.fileno()], [], [], _POLL_S)
        if tty in ready:
            port.sendall(os.read(tty, _READ_BYTES))
        if port.fileno() in ready:
            data = port.recv(_READ_BYTES)
            if not data:
                return
            while data:
                data = data[os.write(tty, data) :]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
