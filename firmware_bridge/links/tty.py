"""The board's end of a serial line: a terminal in raw mode, opened with the standard library alone.

The host's end, with locks against other programs and any baud rate, is `firmware_bridge.links.serial`.
"""

from __future__ import annotations

import os
import termios

from firmware_bridge.errors import BenchError, InputError
from firmware_bridge.links.descriptor import DescriptorLink

__all__ = ["make_raw", "tty_link"]

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
    modes[_IFLAG] = termios.IGNBRK
    modes[_OFLAG] = 0
    modes[_CFLAG] = termios.CS8 | termios.CREAD | termios.CLOCAL
    modes[_LFLAG] = 0
    modes[_ISPEED] = modes[_OSPEED] = speed
    modes[_CC][termios.VMIN], modes[_CC][termios.VTIME] = 1, 0
    termios.tcsetattr(descriptor, termios.TCSANOW, modes)


def tty_link(path: str, baud: int) -> DescriptorLink:
    """Open the terminal at ``path`` as an unreliable link.

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
    return DescriptorLink(descriptor, os.dup(descriptor), name=name, reliable=False)
