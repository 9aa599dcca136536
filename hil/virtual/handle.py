"""The handle of a virtual board, which is a process of its own: how it is started, found, reached and stopped.

What such a process consists of is its own module's: `hil.virtual.emulated`, `hil.virtual.qemu.board`.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from firmware_bridge.device.profile import DEFAULT_BOARD, BoardProfile, profile_text
from firmware_bridge.errors import BenchError

__all__ = [
    "ENDPOINTS",
    "LOCK",
    "PROFILE",
    "SERIAL",
    "VirtualBoard",
    "check_kind",
    "checked_profile",
    "factory_profile",
    "lock_state",
    "say",
    "serial_number",
]

ENDPOINTS = "running.json"
"""Where a running board says how it is reached, in its state's folder."""

SERIAL = "serial"
"""The file with a board's serial number, in its state's folder: where it is, there is a board."""

LOCK = "lock"
"""The file that a running board locks, in its state's folder."""

PROFILE = "profile.toml"
"""The profile of the kind of board that it is, in its state's folder."""

_STOP_S = 10.0
_LOG = "log"
_LOG_BYTES = 1 << 20


class VirtualBoard:
    """A running board; as a context manager it stops with the block.

    Attributes:
        state: the folder of all its state.
        serial_number: its serial number.
        process: process id.
    """

    start_s = 60.0
    """How long it may take until its agent answers."""

    def __init__(self, state: Path, endpoints: dict[str, Any], child: subprocess.Popen[bytes] | None) -> None:
        """Use a subclass's ``start``, or `find`."""
        self.state = state
        self.serial_number = str(endpoints["serial_number"])
        self.process = int(endpoints["process"])
        self._ssh_url = endpoints["ssh"]
        self._serial_url = str(endpoints["serial"])
        self._child = child

    @classmethod
    def spawn(cls, state: Path, module: str, options: Sequence[str]) -> Self:
        """Start ``module`` as the board's process; it ends with `stop`, or by itself when this process does.

        The process prints its endpoints as one JSON line, or ``{"error": ...}``, and ends with its standard input.

        Raises:
            BenchError: it does not start.
        """
        state = state.resolve()
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = state / _LOG
        if log.exists() and log.stat().st_size > _LOG_BYTES:
            log.unlink()
        with log.open("ab") as errors:
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", module, "--state", str(state), *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,  # Ctrl-C is for the program that measures, which then ends the board itself
            )
        try:
            return cls(state, _endpoints(child, log, cls.start_s), child)
        except BaseException:
            _end(child)
            raise

    @staticmethod
    def exists(state: Path) -> bool:
        """Return whether a board has its state in this folder, running or not."""
        return (state / SERIAL).is_file() or _is_locked(state / LOCK)

    @classmethod
    def find(cls, state: Path) -> Self | None:
        """Return the board that runs in this folder, started by whomever, or None."""
        deadline_s = time.monotonic() + cls.start_s
        while _is_locked(state / LOCK):
            try:
                return cls(state, json.loads((state / ENDPOINTS).read_text()), None)
            except (OSError, ValueError, KeyError) as error:  # it is starting
                if time.monotonic() > deadline_s:
                    raise BenchError(f"the virtual board in {state} does not come up; see {state / _LOG}") from error
                time.sleep(0.05)
        return None

    def __enter__(self) -> Self:
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
            raise BenchError(f"the virtual board in {self.state} has no SSH server; start it with one")
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


def lock_state(path: Path) -> int:
    """Lock a board's state and return the locked descriptor: two boards on one disk would corrupt it.

    Raises:
        BenchError: a board runs there.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise BenchError(
            f"the virtual board in {path.parent} is running already; stop it, or use another folder"
        ) from error
    return descriptor


def serial_number(path: Path, wanted: str) -> str:
    """Return a board's serial number, given to it in its factory: at its first start."""
    if not path.exists():
        path.write_text(wanted + "\n", encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()


def factory_profile(state: Path, wanted: str | None) -> Path:
    """Return a board's profile, given to it in its factory: at its first start.

    Args:
        state: the board's folder.
        wanted: a profile's name or TOML file; by default the kind that the board is, else `DEFAULT_BOARD`.

    Raises:
        InputError: the profile does not exist, or is invalid.
        BenchError: the board is of another kind.
    """
    path = state / PROFILE
    if wanted is not None or not path.exists():
        text = profile_text(checked_profile(wanted or DEFAULT_BOARD))
        if path.exists() and wanted is not None:
            check_kind(state, wanted)
        path.write_text(text)
    return path


def checked_profile(name: str) -> str:
    """Return ``name``, which is a profile's name or TOML file.

    Raises:
        InputError: the profile does not exist, or is invalid.
    """
    BoardProfile.load(name)
    return name


def check_kind(state: Path, wanted: str) -> None:
    """Check that the board in ``state`` is of the kind of the profile ``wanted``.

    Raises:
        BenchError: it is not.
    """
    found, other = BoardProfile.load(str(state / PROFILE)).name, BoardProfile.load(wanted).name
    if found != other:
        raise BenchError(f"the virtual board in {state} is a {found!r}, not a {other!r}; use another folder")


def say(item: dict[str, object]) -> None:
    """Print the line that `VirtualBoard.spawn` waits for."""
    try:
        os.write(1, json.dumps(item).encode() + b"\n")
    except BrokenPipeError:
        return  # the parent has gone; standard input ends, too


def _endpoints(child: subprocess.Popen[bytes], log: Path, start_s: float) -> dict[str, Any]:
    """Wait for the line with the board's endpoints."""
    assert child.stdout is not None
    ready, _, _ = select.select([child.stdout], [], [], start_s)
    line = child.stdout.readline() if ready else b""
    try:
        item: dict[str, Any] = json.loads(line)
    except ValueError:
        item = {"error": "the virtual board does not start"}
    if "error" in item:
        said = log.read_text(encoding="utf-8", errors="replace").splitlines()[-1:]
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
