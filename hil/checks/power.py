"""From a rail's samples to power and energy, idle subtracted.

A power monitor averages over its own update period, which is longer than an inference: single inferences cannot be
resolved, so energy is integrated over the whole paced loop and divided by its frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.protocol.messages import Measured, RailTrace
from hil.errors import EvidenceError

__all__ = ["PowerFigures", "RailFigures", "power_figures"]


@dataclass(frozen=True, slots=True)
class RailFigures:
    """One rail: mean power while idle and in the loop (mW), energy of a frame over idle (mJ), samples of both."""

    rail: str
    idle_mw: float
    loop_mw: float
    frame_mj: float
    samples: int
    idle_samples: int


@dataclass(frozen=True, slots=True)
class PowerFigures:
    """All rails of one paced run.

    Attributes:
        rails: one for each rail.
        frames: counted inferences.
        loop_s: duration of the loop, seconds.
        dropped: samples that could not be read.
    """

    rails: tuple[RailFigures, ...]
    frames: int
    loop_s: float
    dropped: int

    @property
    def idle_mw(self) -> float:
        """Mean power of all rails while idle."""
        return sum(rail.idle_mw for rail in self.rails)

    @property
    def frame_mj(self) -> float:
        """Energy of one frame over idle, all rails."""
        return sum(rail.frame_mj for rail in self.rails)

    @property
    def samples(self) -> int:
        """Samples in the loop, all rails."""
        return sum(rail.samples for rail in self.rails)

    @property
    def idle_samples(self) -> int:
        """Samples in the idle window, all rails."""
        return sum(rail.idle_samples for rail in self.rails)

    @property
    def dropped_share(self) -> float:
        """Dropped samples over all that were due, idle window and loop."""
        due = self.samples + self.idle_samples + self.dropped
        return self.dropped / due if due else 1.0

    def total_mw(self, rate_hz: float) -> float:
        """Mean power of all rails at ``rate_hz`` frames a second: idle plus rate times energy a frame."""
        return self.idle_mw + rate_hz * self.frame_mj


def power_figures(measured: Measured) -> PowerFigures:
    """Integrate the rails of one run.

    Raises:
        EvidenceError: a rail has too few samples in the idle window or in the loop.
    """
    frames = len(measured.start_s)
    if frames == 0:
        raise EvidenceError("the run counted no frame, so there is no energy a frame; measure with at least one")
    begin, end = _loop(measured)
    rails = []
    for trace in measured.rails:
        idle_mw, idle_samples = _mean(trace, measured.idle_from_s, measured.idle_to_s, "idle window")
        loop_mw, samples = _mean(trace, begin, end, "loop")
        frame_mj = (loop_mw - idle_mw) * (end - begin) / frames
        rails.append(RailFigures(trace.rail, idle_mw, loop_mw, frame_mj, samples, idle_samples))
    if not rails:
        raise EvidenceError("the board reports no power rail")
    return PowerFigures(tuple(rails), frames, end - begin, measured.dropped)


def _loop(measured: Measured) -> tuple[float, float]:
    """Return begin and end of the loop: whole periods, so that the last frame's rest counts like the others'."""
    starts = measured.start_s
    if len(starts) > 1:
        return starts[0], starts[-1] + (starts[-1] - starts[0]) / (len(starts) - 1)
    return starts[0], starts[0] + measured.latency_ms[0] / 1000


def _mean(trace: RailTrace, begin: float, end: float, what: str) -> tuple[float, int]:
    """Return the mean power over the time from ``begin`` to ``end`` and how many samples lie in it.

    Each sample stands for the time since the one before it, as a monitor's register does.
    """
    time_s: NDArray[np.float64] = np.asarray(trace.time_s, np.float64)
    power_mw: NDArray[np.float64] = np.asarray(trace.power_mw, np.float64)
    inside = (time_s > begin) & (time_s <= end)
    samples = int(inside.sum())
    if samples < 2:
        raise EvidenceError(f"rail {trace.rail}: {samples} samples in the {what}, at least 2 are needed; run it longer")
    weight = np.diff(np.concatenate([[begin], time_s[inside]]))
    return float(np.average(power_mw[inside], weights=weight)), samples
