"""The board's clock: inference, pacing and rail samples all use this one.

A virtual board puts a modelled clock in its place; see `hil.virtual`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["Clock", "RealClock"]


class Clock(Protocol):
    """Seconds from any origin that never go back."""

    def now_s(self) -> float:
        """Return the time."""
        ...

    def sleep_until_s(self, time_s: float) -> None:
        """Return when the time is ``time_s``, at once if that is past."""
        ...

    def every(self, period_s: float, callback: Callable[[], None]) -> Callable[[], None]:
        """Call ``callback`` every ``period_s`` seconds from now on, until the returned function is called.

        A callback that is late is called once, not once for each period that it missed.
        """
        ...


class RealClock:
    """The machine's monotonic clock."""

    def now_s(self) -> float:
        """See `Clock.now_s`."""
        return time.monotonic()

    def sleep_until_s(self, time_s: float) -> None:
        """See `Clock.sleep_until_s`."""
        while (left_s := time_s - time.monotonic()) > 0:
            time.sleep(left_s)

    def every(self, period_s: float, callback: Callable[[], None]) -> Callable[[], None]:
        """See `Clock.every`; the callback runs in a thread of its own."""
        stop = threading.Event()
        thread = threading.Thread(target=_tick, args=(period_s, callback, stop), name="clock", daemon=True)
        thread.start()

        def cancel() -> None:
            stop.set()
            if thread is not threading.current_thread():
                thread.join()

        return cancel


def _tick(period_s: float, callback: Callable[[], None], stop: threading.Event) -> None:
    due_s = time.monotonic() + period_s
    while not stop.wait(max(0.0, due_s - time.monotonic())):
        callback()
        due_s = max(due_s + period_s, time.monotonic())
