"""A KS-100 without hardware, as a process of its own: real agent, rules, runtime, SSH server and serial line.

Its numerics are real; how long the NPU takes and what the rails draw is modelled. See docs/adr/0003.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from firmware_bridge.errors import BenchError

__all__ = ["EmulatedBoard"]

_START_S = 60.0
_STOP_S = 10.0
_LOG = "log"
_LOG_BYTES = 1 << 20


class EmulatedBoard:
    """A running emulated board; as a context manager it stops with the block.

    Attributes:
        state: the folder that holds everything it keeps.
        serial_number: its serial number.
        process: process id.
    """

    def __init__(self, state: Path, endpoints: dict[str, Any], child: subprocess.Popen[bytes] | None) -> None:
        """Use `start` or `find`."""
        self.state = state
        self.serial_number = str(endpoints["serial_number"])
        self.process = int(endpoints["process"])
        self._ssh_url = endpoints["ssh"]
        self._serial_url = str(endpoints["serial"])
        self._child = child

    @classmethod
    def start(
        cls,
        state: Path,
        *,
        ssh: bool = True,
        profile: str = "ks100",
        runtime: str | None = None,
        serial_number: str | None = None,
        byte_error_rate: float = 0.0,
        seed: int = 0,
    ) -> EmulatedBoard:
        """Start a board; it ends with `stop`, or by itself when this process does.

        Args:
            state: its folder: empty or missing makes a factory-new board.
            ssh: whether it has an SSH server.
            profile: kind of board.
            runtime: ``litert`` or ``tflite-runtime``; by default what the profile ships.
            serial_number: of a factory-new board; by default a random one.
            byte_error_rate: how many bytes of the serial line lose a bit.
            seed: which ones.

        Raises:
            BenchError: it does not start: no OpenSSH server, no runtime, or the folder's board runs already.
        """
        state = state.resolve()
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        command = [sys.executable, "-m", "hil.virtual.emulated", "--state", str(state), "--profile", profile]
        command += [] if ssh else ["--no-ssh"]
        command += ["--runtime", runtime] if runtime else []
        command += ["--serial-number", serial_number] if serial_number else []
        command += ["--byte-error-rate", str(byte_error_rate), "--seed", str(seed)] if byte_error_rate else []
        log = state / _LOG
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.unlink()
        with log.open("ab") as errors:
            child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,  # Ctrl-C is for the program that measures, which then ends the board itself
            )
        try:
            return cls(state, _endpoints(child, log), child)
        except BaseException:
            _end(child)
            raise

    @classmethod
    def find(cls, state: Path) -> EmulatedBoard | None:
        """Return the board that runs in this folder, started by whomever, or None."""
        from hil.virtual.supervisor import ENDPOINTS, LOCK

        deadline_s = time.monotonic() + _START_S
        while _is_locked(state / LOCK):
            try:
                return cls(state, json.loads((state / ENDPOINTS).read_text()), None)
            except (OSError, ValueError, KeyError) as error:  # it is starting
                if time.monotonic() > deadline_s:
                    raise BenchError(f"the emulated board in {state} does not come up; see {state / _LOG}") from error
                time.sleep(0.05)
        return None

    def __enter__(self) -> EmulatedBoard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def ssh_url(self) -> str:
        """Its address over SSH, with the key to log in and the host key to expect.

        Raises:
            BenchError: it was started without an SSH server.
        """
        if self._ssh_url is None:
            raise BenchError(f"the emulated board in {self.state} has no SSH server; start it with one")
        return str(self._ssh_url)

    @property
    def serial_url(self) -> str:
        """Its address over the serial line."""
        return self._serial_url

    def wait(self) -> None:
        """Return when the board has ended."""
        if self._child is not None:
            self._child.wait()

    def stop(self) -> None:
        """Stop the board, if this object started it; stopping twice is allowed."""
        if self._child is not None:
            _end(self._child)


def _endpoints(child: subprocess.Popen[bytes], log: Path) -> dict[str, Any]:
    """Wait for the line in which the board says how it is reached."""
    assert child.stdout is not None
    ready, _, _ = select.select([child.stdout], [], [], _START_S)
    line = child.stdout.readline() if ready else b""
    try:
        item: dict[str, Any] = json.loads(line)
    except ValueError:
        item = {"error": "the emulated board does not start"}
    if "error" in item:
        said = log.read_text(errors="replace").splitlines()[-1:]
        raise BenchError(str(item["error"]) + "".join(f"; it said: {text}" for text in said))
    return item


def _end(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.close()  # it ends with its standard input
    try:
        child.wait(timeout=_STOP_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    child.stdout.close()


def _is_locked(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


if __name__ == "__main__":
    from hil.virtual import supervisor

    sys.exit(supervisor.main(sys.argv[1:]))
