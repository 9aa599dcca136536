"""What a sender learns about its line: how long a round trip takes, and how large a frame should be.

Both are estimators over what acknowledgements report; neither reads a clock.
"""

from __future__ import annotations

import math

__all__ = ["FrameSizer", "RoundTrip"]


class RoundTrip:
    """Retransmission timeout from measured round trips (RFC 6298), without its one-second floor.

    The floor protects a shared network; here the line is ours, and a turnaround is 16 ms or less. Every transmission
    has a number that the acknowledgement echoes, so each sample is unambiguous and Karn's rule is not needed.
    """

    _FLOOR_S = 0.1  # a scheduler's hiccup on either side is not a loss
    _CAP_S = 4.0
    _FIRST_S = 0.5  # 4 KiB of an operating system's output buffer take 0.36 s at 115200 baud

    def __init__(self) -> None:
        self._smoothed_s: float | None = None
        self._variation_s = 0.0
        self._backoff = 1

    @property
    def smoothed_s(self) -> float | None:
        """The smoothed round trip, or None before the first sample."""
        return self._smoothed_s

    @property
    def timeout_s(self) -> float:
        """How long to wait for news of what has been sent."""
        base = self._FIRST_S
        if self._smoothed_s is not None:
            base = max(self._FLOOR_S, self._smoothed_s + 4 * self._variation_s)
        return min(self._CAP_S, base * self._backoff)

    @property
    def backed_off(self) -> bool:
        """Whether the timeout has expired since the last sample."""
        return self._backoff > 1

    def sample(self, seconds: float) -> None:
        """Take one measured round trip."""
        self._backoff = 1
        if self._smoothed_s is None:
            self._smoothed_s, self._variation_s = seconds, seconds / 2
            return
        self._variation_s += (abs(self._smoothed_s - seconds) - self._variation_s) / 4
        self._smoothed_s += (seconds - self._smoothed_s) / 8

    def back_off(self) -> None:
        """Double the timeout, because it expired."""
        self._backoff = min(self._backoff * 2, 64)


class FrameSizer:
    """Payload of the next frame: the size that wastes the fewest bytes at the byte error rate seen lately.

    A frame of ``n`` bytes with ``h`` bytes of overhead gets through with probability ``(1 - p)**(n + h)``; the share of
    the line that carries payload, ``n / (n + h) * (1 - p)**(n + h)``, is largest near ``n = sqrt(h / p)`` for small p.
    """

    _MEMORY_BYTES = 100_000.0  # about how much of the past counts: a second at 921600 baud
    _PRIOR_BYTES = 10_000.0  # a new line is thought to have one error in 90,000 bytes: frames begin at about 1 KiB
    _PRIOR_LOSSES = 0.11

    def __init__(self, *, unit_bytes: int, cap_bytes: int, overhead_bytes: int, adaptive: bool = True) -> None:
        """Create a sizer.

        Args:
            unit_bytes: sizes are multiples of it, at least one.
            cap_bytes: largest payload of a frame.
            overhead_bytes: what a frame costs beside its payload.
            adaptive: whether errors are expected at all; without, every frame has the cap.
        """
        self._unit_bytes = unit_bytes
        self._cap_bytes = cap_bytes
        self._overhead_bytes = overhead_bytes
        self._adaptive = adaptive
        self._bytes = 0.0
        self._losses = 0.0

    @property
    def error_rate(self) -> float:
        """Estimated probability that a byte damages its frame."""
        return (self._losses + self._PRIOR_LOSSES) / (self._bytes + self._PRIOR_BYTES)

    @property
    def payload_bytes(self) -> int:
        """Payload of the next frame."""
        best = math.sqrt(self._overhead_bytes / self.error_rate) if self._adaptive else self._cap_bytes
        units = max(1, min(round(best), self._cap_bytes) // self._unit_bytes)
        return units * self._unit_bytes

    @property
    def payload_fraction(self) -> float:
        """Fraction of the line that carries payload, with frames of this size at this error rate."""
        payload = self.payload_bytes
        whole = payload + self._overhead_bytes
        return payload / whole * (1.0 - min(1.0, self.error_rate)) ** whole

    def report(self, frame_bytes: int, *, lost: bool) -> None:
        """Take the fate of one frame of ``frame_bytes``."""
        weight = math.exp(-frame_bytes / self._MEMORY_BYTES)
        self._bytes = self._bytes * weight + frame_bytes
        self._losses = self._losses * weight + lost
