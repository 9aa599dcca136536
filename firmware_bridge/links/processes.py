"""Which process a number means: a number that is found in a file may be of a process that has ended, or of another one.

Reads ``/proc`` and nothing else.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

__all__ = ["command_of", "is_process", "process_age_s", "this_process"]

_PROC = Path("/proc")
_STARTED = 19  # of the fields after the command's name, proc(5): field 22 of all


def command_of(process: int) -> str:
    """Return the name of a process's command, ``""`` when there is no such process."""
    try:
        return (_PROC / str(process) / "comm").read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def started_ticks(process: int) -> int | None:
    """Return when a process started, in ticks since the machine did, or None when there is no such process."""
    try:
        text = (_PROC / str(process) / "stat").read_text("utf-8", "replace")
        return int(text.rpartition(")")[2].split()[_STARTED])
    except (OSError, ValueError, IndexError):
        return None


def process_age_s(process: int) -> float | None:
    """Return for how long a process has been running, or None when there is none."""
    ticks = started_ticks(process)
    if ticks is None:
        return None
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def this_process() -> str:
    """Return a text that means this process and no later one with its number; `is_process` knows whether it runs."""
    return f"{os.getpid()}:{started_ticks(os.getpid())}"


def is_process(text: str) -> bool:
    """Return whether the process that `this_process` has named still runs."""
    number, _, started = text.partition(":")
    return number.isdecimal() and started.isdecimal() and started_ticks(int(number)) == int(started)
