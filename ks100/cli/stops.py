"""Handling requests to stop: Ctrl-C, a service manager, or a closed terminal. The first request is graceful."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Self

__all__ = ["StoppedError", "Stops", "stop_on_signals"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StoppedError(KeyboardInterrupt):
    """Stopped by a signal other than Ctrl-C; unwinds like an interrupt.

    Attributes:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__()


def stop_on_signals() -> None:
    """Make terminating signals raise, so that boards are stopped, files closed and locks released."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup ignores SIGHUP, which must stay so
            signal.signal(number, _stop)


def _stop(number: int, _: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)  # the next one ends the process at once
    raise StoppedError(number)


class Stops:
    """Treats the first request to stop as graceful and the second as immediate; a context manager.

    Attributes:
        pressed: number of the first signal, or None.
    """

    def __init__(self) -> None:
        self.pressed: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        for number in _SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # returned by signal.signal

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self.pressed is None:
            self.pressed = number
        elif number != signal.SIGHUP:  # a closing terminal may send it several times
            raise KeyboardInterrupt if number == signal.SIGINT else StoppedError(number)
