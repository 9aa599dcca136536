"""The process of an emulated board: supervises its agent, SSH server and serial line until its parent ends.

Plays the part of the board's service manager: an agent that ends, for a reboot or by a crash, is started anew. Ends
when its standard input does, so that a board never outlives the program that started it.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from firmware_bridge.errors import BenchError, BridgeError
from hil.virtual.handle import ENDPOINTS, LOCK, SERIAL, factory_profile, lock_state, say, serial_number
from hil.virtual.line import PacedLine
from hil.virtual.sshd import SshServer

__all__ = ["main"]

_BAUD = 921600
_RESTART_S = 0.3  # between an agent's end and the next one, so that one that cannot start does not spin
_AGENT_START_S = 30.0
_AGENT_STOP_S = 5.0
_POLL_S = 1.0


def main(arguments: list[str]) -> int:
    """Run one board; prints its endpoints, or the reason for none, as one JSON line on standard output."""
    options = _parser().parse_args(arguments)
    try:
        board = _Board(options)
    except (BridgeError, OSError) as error:
        say({"error": str(error)})
        return 3
    try:
        say(board.start())
        board.run()
    except (BridgeError, OSError) as error:
        say({"error": str(error)})
        return 3
    finally:
        board.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="hil.virtual.emulated", description=__doc__)
    options.add_argument("--state", type=Path, required=True)
    options.add_argument("--no-ssh", action="store_true")
    options.add_argument("--profile")
    options.add_argument("--runtime")
    options.add_argument("--serial-number")
    options.add_argument("--byte-error-rate", type=float, default=0.0)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--no-noise", action="store_true")
    return options


class _Board:
    """The parts of one running board."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._state: Path = options.state
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = lock_state(self._state / LOCK)
        self._work = self._state / "run"
        shutil.rmtree(self._work, ignore_errors=True)  # a board that was killed has left it
        self._work.mkdir(mode=0o700)
        self._socket = str(self._work / "agent.sock")
        self._profile = str(factory_profile(self._state, options.profile))
        factory = options.serial_number or f"EMU-{secrets.token_hex(4).upper()}"
        self._serial_number = serial_number(self._state / SERIAL, factory)
        self._line = PacedLine(_BAUD, byte_error_rate=options.byte_error_rate, seed=options.seed)
        self._ssh: SshServer | None = None
        self._agent: subprocess.Popen[bytes] | None = None
        self._stop = threading.Event()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only to be woken

    def start(self) -> dict[str, object]:
        """Start everything, and return the endpoints once the agent answers."""
        self._line.start()
        self._start_agent()
        if not self._options.no_ssh:  # keys are made while the agent starts
            attach = [sys.executable, "-I", "-m", "firmware_bridge.agent", "attach", "--socket", self._socket]
            self._ssh = SshServer(self._state / "ssh", self._work, attach)
        self._await_agent()
        endpoints = {
            "process": os.getpid(),
            "serial_number": self._serial_number,
            "ssh": self._ssh.url if self._ssh else None,
            "serial": f"serial://{self._line.host_tty}?baud={_BAUD}",
        }
        (self._state / ENDPOINTS).write_text(json.dumps(endpoints))
        return endpoints

    def run(self) -> None:
        """Keep the board up until standard input closes or a signal comes."""
        poll = select.poll()
        poll.register(0, select.POLLIN)
        poll.register(self._wake_read, select.POLLIN)
        if self._ssh is not None:
            poll.register(self._ssh.listener, select.POLLIN)
        while not self._stop.is_set():
            for descriptor, _ in poll.poll(1e3 * _POLL_S):
                if descriptor == self._wake_read:
                    os.read(self._wake_read, 4096)
                elif descriptor == 0:
                    if not os.read(0, 4096):
                        return
                elif self._ssh is not None:
                    self._ssh.accept()
            self._tend()

    def close(self) -> None:
        """Stop everything, and leave only the state."""
        self._stop.set()
        if self._ssh is not None:
            self._ssh.close()
        if self._agent is not None:
            self._end_agent(self._agent)
        self._line.close()
        (self._state / ENDPOINTS).unlink(missing_ok=True)
        shutil.rmtree(self._work, ignore_errors=True)
        os.close(self._lock)

    def _tend(self) -> None:
        """Do what a service manager does when a child has ended."""
        if self._ssh is not None:
            self._ssh.reap()
        if self._agent is not None and self._agent.poll() is not None and not self._stop.is_set():
            sys.stderr.write(f"the agent ended ({self._agent.returncode}); starting it anew\n")
            time.sleep(_RESTART_S)
            self._start_agent()

    def _start_agent(self) -> None:
        options = self._options
        command = [
            sys.executable,
            "-P",
            "-m",
            "hil.virtual.firmware",
            "--state",
            str(self._state),
            "--socket",
            self._socket,
        ]
        command += ["--tty", self._line.board_tty, "--baud", str(_BAUD), "--profile", self._profile]
        command += ["--serial-number", self._serial_number]
        command += ["--runtime", options.runtime] if options.runtime else []
        command += ["--seed", str(options.seed), *(["--no-noise"] if options.no_noise else [])]
        if self._agent is not None:
            _close_pipes(self._agent)
        # It ends when the pipe to its standard input does, also when this process is killed.
        self._agent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def _await_agent(self) -> None:
        """Wait for the agent's ready line."""
        assert self._agent is not None
        assert self._agent.stdout is not None
        ready, _, _ = select.select([self._agent.stdout], [], [], _AGENT_START_S)
        if not ready or not os.read(self._agent.stdout.fileno(), 64):
            raise BenchError("the agent of the emulated board does not start")

    def _end_agent(self, agent: subprocess.Popen[bytes]) -> None:
        agent.terminate()
        try:
            agent.wait(timeout=_AGENT_STOP_S)
        except subprocess.TimeoutExpired:
            agent.kill()
            agent.wait()
        _close_pipes(agent)


def _close_pipes(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
