"""How a run against a board ends before its time: signals unwind it, so that boards are released and results kept.

A run that another process started also ends when that process does: the end of a pipe that only the parent holds open.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType

import pytest

__all__ = ["LIFELINE_VARIABLE", "end_on_signals", "end_with_parent", "hear_interrupts"]

LIFELINE_VARIABLE = "KS_LIFELINE_FD"
"""Environment variable that names the descriptor whose end means that the parent process has gone."""

_PATIENCE_S = 20.0


def hear_interrupts() -> None:
    """Let the parent process end this one by SIGINT, which the children of a shell's background job ignore."""
    if LIFELINE_VARIABLE in os.environ and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def end_on_signals() -> None:
    """Let SIGTERM and SIGHUP end the session as Ctrl-C does, fixtures torn down."""
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores SIGHUP, and shall
            signal.signal(number, _end)


def _end(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one must not break into the release of the board
    pytest.exit(signal.Signals(number).name, returncode=int(pytest.ExitCode.INTERRUPTED))


def end_with_parent() -> None:
    """End as at SIGTERM when the process that started this one has gone, whichever way it went."""
    descriptor = os.environ.pop(LIFELINE_VARIABLE, "")
    if descriptor.isdigit():
        threading.Thread(target=_watch, args=(int(descriptor),), daemon=True).start()


def _watch(descriptor: int) -> None:
    os.read(descriptor, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_PATIENCE_S)
    os.kill(os.getpid(), signal.SIGKILL)
