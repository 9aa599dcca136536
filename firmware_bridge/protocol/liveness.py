"""Whether the other end is still there: when to ask, and when to stop waiting. Reads no clock, and knows no frames."""

from __future__ import annotations

import math

from firmware_bridge.protocol.states import Role

__all__ = ["Liveness"]

_KEEPALIVE_S = 2.0
_PROBE_S = 0.25
_HOST_SILENCE_S = 10.0  # a board's link thread answers at once, however busy the board is
_HOST_SILENCE_RELIABLE_S = 20.0  # but a slow network takes its time over what is queued in front
_BOARD_SILENCE_S = 30.0  # a host pings every two seconds; one that is gone must not hold the board for long


class Liveness:
    """When one end last received, and last requested an answer.

    Attributes:
        silence_s: how long the other end may be silent.
        asked_s: since when an answer is due, or None.
    """

    def __init__(self, role: Role, *, reliable: bool, silence_s: float | None = None) -> None:
        """Begin without having heard anything.

        Args:
            role: a host waits for answers, a board for signs of life.
            reliable: whether the pipe repairs losses itself.
            silence_s: defaults to 10 s at the host (20 s on a reliable pipe), and to 30 s at the board.
        """
        self._role = role
        usual_s = _HOST_SILENCE_RELIABLE_S if reliable else _HOST_SILENCE_S
        self.silence_s = silence_s or (_BOARD_SILENCE_S if role is Role.BOARD else usual_s)
        self._heard_s = 0.0
        self._pinged_s = 0.0
        self.asked_s: float | None = None

    def heard(self, now_s: float) -> None:
        """Note a frame of the other end."""
        self._heard_s, self.asked_s = now_s, None

    def asked(self, now_s: float) -> None:
        """Note that something has been sent which the other end answers."""
        if self.asked_s is None:
            self.asked_s = now_s

    def pinged(self, now_s: float) -> None:
        """Note that a ping has been sent."""
        self._pinged_s = now_s
        self.asked(now_s)

    def gone_s(self) -> float:
        """Return when the other end will have been silent for too long, or infinity."""
        since_s = self.asked_s if self._role is Role.HOST else self._heard_s
        return math.inf if since_s is None else since_s + self.silence_s

    def ping_due_s(self, *, blocked: bool) -> float:
        """Return when to ask for a sign of life, or for credit (``blocked``) whose notice may have been lost."""
        if blocked:
            return self._pinged_s + _PROBE_S
        if self._role is Role.BOARD:
            return math.inf
        return max(self._heard_s, self._pinged_s) + _KEEPALIVE_S
