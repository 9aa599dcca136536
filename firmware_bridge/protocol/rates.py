"""The rate of a serial line in a session: raised by agreement, tried, and given up when it does not carry.

A session begins at the rate that both ends were opened at. When much is to be sent, the host names other rates; the
board takes the first that it can do, and changes once its answer has left; the host changes when it has the answer.
Neither end trusts a rate before it has heard something at it, and an end that hears nothing returns by itself to the
rate at which the session began. So both meet there, whatever was lost. A rate with so many errors that a lower one
would carry more is left by the same request.

Knows neither links nor windows, and reads no clock: `baud` is what the driver of a `Connection` sets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import Enum

from firmware_bridge.protocol.frames import RateAnswer, RateRequest

__all__ = ["BoardRate", "HostRate", "LineRate"]

_BITS_PER_BYTE = 10  # start, eight data, stop

_WORTH_S = 0.15  # what waits to be sent takes longer than an agreement does
_ASK_S = 0.25
_ASK_TIMES = 4  # a board of an older version ignores the request
_ATTEMPTS = 4  # rates tried in vain, at 0.7 s each, before the host is content with the first one
_QUEUED_BYTES = 2048  # of the board's, before its answer
_PROBE_S = 0.1
_SETTLE_S = 0.05  # the board's answer has left before its line is set
_TRIAL_HOST_S = 0.6
_TRIAL_BOARD_S = 0.8
_DEAF_HOST_S = 2.0
_DEAF_BOARD_S = 1.0  # while bytes arrive that are no frames: the host is back already, or is another one
_DEAF_BYTES = 32
_SILENT_BOARD_S = 5.0  # a host pings every two seconds
_AGAIN_S = 5.0


class LineRate:
    """What both ends have in common; what concerns only one of them does nothing at the other.

    Attributes:
        baud: what the line is to be set to before anything more is sent; 0 on a link without a rate.
        asked_s: since when an answer of the other end is due, or None.
    """

    def __init__(self, bauds: Sequence[int] = ()) -> None:
        """Begin at ``bauds[0]``; the others are what the line can be set to as well."""
        self._bauds = tuple(bauds)
        self.baud = self._opening = self._bauds[0] if bauds else 0
        self.asked_s: float | None = None
        self._ping_s = math.inf

    @property
    def raised(self) -> bool:
        """Whether the rate is another than the one at which the session began."""
        return self.baud != self._opening

    @property
    def holds(self) -> bool:
        """Whether nothing but this agreement may be sent now."""
        return False

    def due_s(self) -> float:
        """Return when there is something to do, or infinity."""
        return math.inf

    def reset(self) -> None:
        """Go back to the first rate: the session is over."""
        self.baud = self._opening

    def on_bytes(self, count: int) -> None:
        """Count what arrives, frames or not."""

    def on_heard(self, now_s: float) -> None:
        """Note a frame of the session."""

    def on_ack(self) -> None:
        """Note an acknowledgement, which answers what was sent at this rate."""

    def on_request(self, bauds: tuple[int, ...]) -> None:
        """Take the host's request."""

    def on_answer(self, baud: int, now_s: float) -> None:
        """Take the board's answer."""

    def on_load(self, unsent_bytes: int, payload_fraction: float, now_s: float) -> None:
        """Take what waits to be sent, and the fraction of the line that carries payload at its error rate."""

    def on_set(self, now_s: float) -> None:
        """Note that the line has been set to `baud`."""

    def tick(self, now_s: float) -> None:
        """Give up what has not worked in time."""

    def on_open(self) -> None:
        """Begin a session."""

    def ping_needed(self, now_s: float) -> bool:
        """Return whether to find out, now, if the line carries at this rate."""
        if now_s < self._ping_s:
            return False
        self._ping_s = now_s + _PROBE_S
        return True


class _Phase(Enum):
    STEADY = "steady"
    ASKING = "asking"  # for another rate
    TRYING = "trying"  # a new rate
    RETURNING = "returning"  # to the first rate, where the board will be soon


class HostRate(LineRate):
    """The host's end: it requests, tries and decides."""

    def __init__(self, bauds: Sequence[int] = ()) -> None:
        """Begin at ``bauds[0]``; of the others, faster ones may be requested."""
        super().__init__(bauds)
        self._phase = _Phase.STEADY
        self._asked: tuple[int, ...] = ()
        self._left = 0
        self._attempts = _ATTEMPTS if len(self._bauds) > 1 else 0
        self._below = math.inf  # rates from here on were tried in vain
        self._ask_s = -math.inf
        self._until_s = math.inf
        self._quiet_until_s = -math.inf

    @property
    def holds(self) -> bool:
        """Whether nothing but this agreement may be sent now."""
        return self._phase is not _Phase.STEADY

    def due_s(self) -> float:
        """Return when there is something to do, or infinity."""
        if self._phase is _Phase.TRYING:
            return min(self._ping_s, self._until_s)
        if self._phase is _Phase.STEADY:
            return self._deaf_s()
        return self._ask_s if self._phase is _Phase.ASKING else self._ping_s

    def on_load(self, unsent_bytes: int, payload_fraction: float, now_s: float) -> None:
        """Ask for a faster rate when that pays, and for a slower one that would carry more."""
        if not self.baud or self._phase is not _Phase.STEADY:
            return
        if self._attempts and now_s >= self._quiet_until_s and unsent_bytes * _BITS_PER_BYTE / self.baud > _WORTH_S:
            faster = [baud for baud in self._bauds if self.baud < baud < self._below]
            self._ask(sorted(faster, reverse=True), now_s)
        elif self.raised and now_s >= self._quiet_until_s:
            slower = sorted((baud for baud in self._bauds if self._opening <= baud < self.baud), reverse=True)
            if slower and payload_fraction * self.baud < slower[0]:
                self._quiet_until_s = now_s + _AGAIN_S
                self._ask(slower, now_s)

    def _ask(self, bauds: Sequence[int], now_s: float) -> None:
        if not bauds:
            self._attempts = 0
            return
        self._phase, self._asked, self._left, self._ask_s = _Phase.ASKING, tuple(bauds), _ASK_TIMES, now_s

    def next_frame(self, now_s: float) -> RateRequest | None:
        """Return the request, repeated until it is answered."""
        if self._phase is not _Phase.ASKING or now_s < self._ask_s:
            return None
        if not self._left:  # an older board, or one that has much to say first
            attempts = max(0, self._attempts - 2)
            self._settle()
            self._attempts, self._quiet_until_s = attempts, now_s + _AGAIN_S
            return None
        self._left -= 1
        self._ask_s = now_s + max(_ASK_S, _QUEUED_BYTES * _BITS_PER_BYTE / self._opening)
        return RateRequest(self._asked)

    def on_answer(self, baud: int, now_s: float) -> None:
        """Take the board's answer: change, or stay when it can do none of the rates."""
        if self._phase is not _Phase.ASKING:
            return
        if baud not in self._asked:
            self._settle()
            return
        self.baud = baud
        self._phase, self._ping_s, self._until_s = _Phase.TRYING, now_s + _SETTLE_S, now_s + _TRIAL_HOST_S

    def on_ack(self) -> None:
        """The rate carries; or, after the way back, the next slower one is worth another try."""
        if self._phase is _Phase.TRYING:
            self._settle()
        elif self._phase is _Phase.RETURNING:
            self._phase, self._ping_s = _Phase.STEADY, math.inf

    def tick(self, now_s: float) -> None:
        """Go back to the first rate when the new one does not carry, or no longer."""
        if self._phase is _Phase.TRYING and now_s >= self._until_s:
            self._below = self.baud
            self._attempts = max(0, self._attempts - 1)
            self._return(now_s)
        elif now_s >= self._deaf_s():
            self._below, self._attempts = self.baud, 1
            self._return(now_s)

    def _deaf_s(self) -> float:
        """Return when a raised rate counts as one that does not carry any more."""
        if self._phase is not _Phase.STEADY or not self.raised or self.asked_s is None:
            return math.inf
        return self.asked_s + _DEAF_HOST_S

    def _return(self, now_s: float) -> None:
        self.baud = self._opening
        self._phase, self._ping_s = _Phase.RETURNING, now_s

    def _settle(self) -> None:
        self._phase, self._ping_s, self._attempts = _Phase.STEADY, math.inf, 0


class _Stage(Enum):
    STEADY = "steady"
    CHANGING = "changing"  # the answer is on its way out, the line has its old rate still
    TRIAL = "trial"  # at the new rate, without having heard anything


class BoardRate(LineRate):
    """The board's end: it answers, changes, and reverts when the host is no longer received."""

    def __init__(self, bauds: Sequence[int] = ()) -> None:
        """Begin at ``bauds[0]``; the others are what the line can be set to as well."""
        super().__init__(bauds)
        self._stage = _Stage.STEADY
        self._answer: int | None = None
        self._heard_s = 0.0
        self._bytes = 0

    def due_s(self) -> float:
        """Return when there is something to do, or infinity."""
        if not self.raised or self._stage is _Stage.CHANGING:
            return math.inf
        if self._stage is _Stage.TRIAL:
            return self._heard_s + _TRIAL_BOARD_S
        return self._heard_s + (_DEAF_BOARD_S if self._bytes >= _DEAF_BYTES else _SILENT_BOARD_S)

    def reset(self) -> None:
        """Go back to the first rate: the session is over."""
        super().reset()
        self.on_open()

    def on_open(self) -> None:
        """Forget the agreement of another session; a new one begins at the rate of its request."""
        self._stage, self._answer = _Stage.STEADY, None

    def on_bytes(self, count: int) -> None:
        """Count what arrives, frames or not."""
        self._bytes += count

    def on_heard(self, now_s: float) -> None:
        """Note a frame of the session: the rate carries."""
        if self._stage is not _Stage.CHANGING:  # else it came at the old one
            self._stage, self._bytes, self._heard_s = _Stage.STEADY, 0, now_s

    def on_request(self, bauds: tuple[int, ...]) -> None:
        """Take the host's request."""
        if self._stage is _Stage.STEADY:
            self._answer = next((baud for baud in bauds if baud in self._bauds), 0)

    def next_frame(self, now_s: float) -> RateAnswer | None:
        """Return the answer; `baud` is what was agreed, once it has left."""
        answer, self._answer = self._answer, None
        if answer is None:
            return None
        if answer not in (0, self.baud):
            self.baud, self._stage = answer, _Stage.CHANGING
        self._heard_s = now_s
        return RateAnswer(answer)

    def on_set(self, now_s: float) -> None:
        """Begin the trial: the line has the new rate."""
        if self._stage is _Stage.CHANGING:
            self._stage, self._bytes, self._heard_s = _Stage.TRIAL, 0, now_s

    def tick(self, now_s: float) -> None:
        """Go back to the first rate when the host is not heard at this one."""
        if now_s >= self.due_s():
            self.reset()
