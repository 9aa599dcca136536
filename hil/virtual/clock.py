"""An emulated board's clock: real time, except that the time of modelled work is what the model says.

While a model is interpreted on the host, this clock stands; then exactly the modelled seconds pass. Waiting is a jump.
So figures do not depend on how fast the host is, except for the software path, whose real time counts.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["ModelledClock"]


@dataclass(slots=True)
class _Ticker:
    """A periodic callback; ``order`` breaks ties, first come first."""

    due_s: float
    order: int
    period_s: float
    callback: Callable[[], None]


class ModelledClock:
    """See the module; a `firmware_bridge.agent.inference.clock.Clock`, to be advanced by one thread at a time."""

    def __init__(self, real_s: Callable[[], float] = time.monotonic) -> None:
        """Start at the real time that ``real_s`` gives."""
        self._real_s = real_s
        self._ahead_s = 0.0
        self._standing_s: float | None = None
        self._orders = itertools.count()
        self._tickers: list[_Ticker] = []

    def now_s(self) -> float:
        """See `Clock.now_s`."""
        return self._real_s() + self._ahead_s if self._standing_s is None else self._standing_s

    def sleep_until_s(self, time_s: float) -> None:
        """See `Clock.sleep_until_s`; jumps there, past every callback that is due on the way."""
        with self._standing() as now_s:
            self._fire_late(now_s)
            self._advance(max(now_s, time_s))

    def every(self, period_s: float, callback: Callable[[], None]) -> Callable[[], None]:
        """See `Clock.every`; callbacks run where the clock is advanced, and take no time on it."""
        ticker = _Ticker(self.now_s() + period_s, next(self._orders), period_s, callback)
        self._tickers.append(ticker)

        def cancel() -> None:
            if ticker in self._tickers:
                self._tickers.remove(ticker)

        return cancel

    @contextmanager
    def modelled(self, seconds: float) -> Iterator[None]:
        """Let the body's real time not count, and exactly ``seconds`` pass instead; none if the body raises."""
        with self._standing() as now_s:
            self._fire_late(now_s)
            yield
            self._advance(now_s + seconds)

    @contextmanager
    def _standing(self) -> Iterator[float]:
        """Stop the clock; it goes on from where `_advance` has put it."""
        assert self._standing_s is None, "modelled work within modelled work"
        now_s = self._standing_s = self.now_s()
        try:
            yield now_s
        finally:
            self._ahead_s = self._standing_s - self._real_s()
            self._standing_s = None

    def _fire_late(self, now_s: float) -> None:
        """Call what became due in real time, once each, now."""
        for ticker in sorted(self._tickers, key=lambda ticker: (ticker.due_s, ticker.order)):
            if ticker.due_s <= now_s:
                ticker.callback()
                missed = (now_s - ticker.due_s) // ticker.period_s + 1
                ticker.due_s += missed * ticker.period_s

    def _advance(self, to_s: float) -> None:
        """Call what is due until ``to_s``, in order, each at its own time."""
        while self._tickers:
            ticker = min(self._tickers, key=lambda ticker: (ticker.due_s, ticker.order))
            if ticker.due_s > to_s:
                break
            self._standing_s = max(ticker.due_s, self._standing_s or 0.0)
            ticker.due_s += ticker.period_s
            ticker.callback()
        self._standing_s = to_s
