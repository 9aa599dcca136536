"""The host's end of a serial line: pyserial, opened exclusively in each of the three ways programs do that on Linux.

``flock`` (pyserial itself, picocom, minicom), ``TIOCEXCL`` (everything else), and the older ``LCK..`` files, which are
honoured and not written.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import termios
import time
from dataclasses import dataclass
from pathlib import Path

import serial

from firmware_bridge.errors import BenchError, InputError, InUseError
from firmware_bridge.links.processes import command_of, process_age_s
from firmware_bridge.links.tty import TtyLink, line_bauds

__all__ = ["SerialLink", "open_serial"]

_COMM_CHARS = 15  # what /proc keeps of a command's name
_CLOCK_SLACK_S = 2.0  # between a process's start and its file, on two clocks
_LOCK_FOLDERS = (Path("/var/lock"), Path("/run/lock"))


class SerialLink(TtyLink):
    """A serial port of the host."""

    def __init__(self, port: serial.Serial, name: str, bauds: tuple[int, ...]) -> None:
        """Take over an open port, which can be set to ``bauds`` and is set to the first of them."""
        self._port = port
        super().__init__(port.fileno(), name, bauds, self._set_port)

    def _set_port(self, baud: int) -> None:
        self._port.baudrate = baud

    def _release(self) -> None:
        with contextlib.suppress(OSError, termios.error):
            fcntl.ioctl(self._port.fileno(), termios.TIOCNXCL)
        self._reading = self._writing = os.open(os.devnull, os.O_RDWR)  # the port's own descriptor is the port's
        self._port.close()
        super()._release()


def open_serial(
    path: str, baud: int, *, fastest: int = 0, lock_folders: tuple[Path, ...] = _LOCK_FOLDERS
) -> SerialLink:
    """Open the port at ``path``, 8N1, for this program alone.

    Args:
        path: of the port.
        baud: its rate at first.
        fastest: how far the rate may be raised by agreement with the board; not at all by default.
        lock_folders: where other programs put their ``LCK..`` files.

    Raises:
        BenchError: there is no such port, no permission, or another program has it (which one, where that is known).
        InputError: the port does not do this baud rate.
    """
    device = os.path.realpath(path)
    lock = _lock_file(device, lock_folders)
    if lock is not None:
        raise InUseError(
            f"{path} is in use by process {lock.process} ({lock.command}), by the lock file {lock.path}; end that "
            "program first"
        )
    try:
        port = serial.Serial(path, baud, exclusive=True, timeout=0, write_timeout=None)
    except ValueError as error:
        raise InputError(f"{path} does not do {baud} baud; use e.g. 115200, 921600 or 3000000") from error
    except (serial.SerialException, OSError, termios.error) as error:
        raise _open_error(path, error) from error
    fcntl.ioctl(port.fileno(), termios.TIOCEXCL)
    return SerialLink(port, f"serial:{path}", line_bauds(baud, fastest))


def _open_error(path: str, error: Exception) -> BenchError:
    code = getattr(error, "errno", None)
    if code == errno.ENOENT:
        return BenchError(
            f"there is no serial port {path}; is the board plugged in? (`ks100 boards list` shows the ports)"
        )
    if code == errno.EACCES:
        return BenchError(
            f"no permission to open {path}; join the group dialout, or install the udev rules of this project"
        )
    if code in (errno.EBUSY, errno.EAGAIN) or "lock" in str(error):
        return InUseError(
            f"{path} is in use by another program; end it (or find it with `fuser {path}`), then try again"
        )
    return BenchError(f"cannot open {path}: {error}")


@dataclass(frozen=True, slots=True)
class _LockFile:
    """A ``LCK..`` file (Filesystem Hierarchy Standard, 5.9) whose process runs."""

    path: Path
    process: int
    command: str


def _lock_file(device: str, folders: tuple[Path, ...]) -> _LockFile | None:
    """Return the lock file of a port, or None; those of processes that have ended are seen through."""
    for folder in folders:
        path = folder / f"LCK..{Path(device).name}"
        try:
            words = path.read_text("ascii", "replace").split()
            written_s = path.stat().st_mtime
        except OSError:
            continue
        process = int(words[0]) if words and words[0].isdecimal() else 0
        command, age_s = command_of(process), process_age_s(process)
        if age_s is None or process == os.getpid():
            continue
        # Given to another process since: one that began after the file was written, or whose name is another.
        recycled = time.time() - age_s > written_s + _CLOCK_SLACK_S or (
            len(words) > 1 and words[1][:_COMM_CHARS] != command
        )
        if not recycled:
            return _LockFile(path, process, command)
    return None
