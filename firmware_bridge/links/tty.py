"""The board's end of a serial line: a terminal in raw mode, opened with the standard library alone.

The host's end, with locks against other programs and any baud rate, is `firmware_bridge.links.serial`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import termios
import time
from collections.abc import Callable

from firmware_bridge.errors import BenchError, InputError, TransferError
from firmware_bridge.links.descriptor import DescriptorLink

__all__ = ["FASTEST_BAUD", "TtyLink", "line_bauds", "make_raw", "tty_link"]

FASTEST_BAUD = 3_000_000
"""What USB adapters and UARTs of boards commonly reach."""

_LADDER = (115200, 230400, 460800, 921600, 1_500_000, 2_000_000, 3_000_000, 4_000_000)
_LEAVING_BITS = 160  # of a frame that a UART still holds
_LEAVING_S = 0.03  # a USB adapter reports that all has left while its own buffer still has some

_IFLAG, _OFLAG, _CFLAG, _LFLAG, _ISPEED, _OSPEED, _CC = range(7)  # order of termios.tcgetattr


def make_raw(descriptor: int, baud: int) -> None:
    """Set a terminal to 8N1 at ``baud``, no flow control, every byte as it is.

    Raises:
        InputError: the system has no constant for this baud rate.
    """
    speed = getattr(termios, f"B{baud}", None)
    if speed is None:
        raise InputError(f"a baud rate of {baud} is not one of the terminal's; use e.g. 115200, 921600 or 3000000")
    modes = termios.tcgetattr(descriptor)
    modes[_IFLAG] = 0  # a break, which is what a much slower sender looks like, is a zero byte
    modes[_OFLAG] = 0
    modes[_CFLAG] = termios.CS8 | termios.CREAD | termios.CLOCAL
    modes[_LFLAG] = 0
    modes[_ISPEED] = modes[_OSPEED] = speed
    modes[_CC][termios.VMIN], modes[_CC][termios.VTIME] = 1, 0
    termios.tcsetattr(descriptor, termios.TCSANOW, modes)


def line_bauds(opening: int, fastest: int) -> tuple[int, ...]:
    """Return ``opening`` and the usual rates beyond it, up to ``fastest``."""
    return opening, *(baud for baud in _LADDER if opening < baud <= fastest)


class TtyLink(DescriptorLink):
    """A serial line: an unreliable link whose rate can be set."""

    def __init__(self, descriptor: int, name: str, bauds: tuple[int, ...], set_rate: Callable[[int], None]) -> None:
        """Take over an open terminal.

        Args:
            descriptor: of the terminal.
            name: what a person would call it.
            bauds: what it can be set to; the first is what it is set to.
            set_rate: sets it.
        """
        super().__init__(descriptor, descriptor, name=name, reliable=False)
        self._bauds = bauds
        self._set_rate = set_rate

    @property
    def bauds(self) -> tuple[int, ...]:
        """What it can be set to; the first is what it was opened at."""
        return self._bauds

    def set_baud(self, baud: int) -> None:
        """Set the rate, once all that was written has left, and drop what came at the old one.

        A port that cannot do a rate stays as it is, which the session finds out; but the first one must be had back.

        Raises:
            TransferError: the link is closed, or the port does not go back to the rate that it was opened at.
        """
        with self._in_write:
            self._check()
            with contextlib.suppress(termios.error, OSError):
                self._drain()
            self._check()
            try:
                self._set_rate(baud)
                termios.tcflush(self._reading, termios.TCIFLUSH)
            except (OSError, ValueError, termios.error, InputError) as error:
                if baud == self._bauds[0]:
                    raise TransferError(f"{self._name} does not go back to {baud} baud: {error}") from error

    def _drain(self) -> None:
        while True:
            try:
                termios.tcdrain(self._writing)
                break
            except termios.error as error:
                if error.args[0] != errno.EINTR:
                    raise
        time.sleep(max(_LEAVING_S, _LEAVING_BITS / self._bauds[0]))


def tty_link(path: str, baud: int, *, fastest: int = 0) -> TtyLink:
    """Open the terminal at ``path`` as an unreliable link.

    Args:
        path: of the terminal.
        baud: its rate.
        fastest: how far the rate may be raised by agreement; not at all by default.

    Raises:
        BenchError: it cannot be opened, or is no terminal.
        InputError: the baud rate is not one of the system's.
    """
    name = f"serial:{path}"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise BenchError(f"cannot open {path}: {error.strerror}") from error
    try:
        make_raw(descriptor, baud)
    except termios.error as error:
        os.close(descriptor)
        raise BenchError(f"{path} is not a terminal: {error.args[-1]}") from error
    except InputError:
        os.close(descriptor)
        raise
    return TtyLink(descriptor, name, line_bauds(baud, fastest), lambda rate: make_raw(descriptor, rate))
