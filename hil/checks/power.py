"""Power and energy per frame from a rail's samples, gross and net of idle, with an interval; or the reason for none.

A power monitor averages over its own update period, which is longer than an inference: single inferences cannot be
resolved, so energy is integrated over the whole paced loop and divided by its frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.device.profile import Rail
from firmware_bridge.device.profile_options import Validity
from firmware_bridge.protocol.messages import Measured, RailTrace
from hil.checks.energy_uncertainty import WindowMean, energy_interval, window_mean
from hil.checks.rail_validity import Window, coverage, defects
from hil.errors import EvidenceError

__all__ = ["PowerFigures", "RailFigures", "power_figures"]

_USUAL = Validity()


@dataclass(frozen=True, slots=True)
class RailFigures:
    """One rail of one run.

    Attributes:
        rail: its label.
        idle: mean power while idle.
        loop: mean power in the loop.
        frame_s: time from one frame to the next.
        tolerance: of the sensor's shunt and gain, a fraction.
        part_of: label of the rail that contains this one, or ``""``.
        samples: received in idle window and loop.
        expected: due in both at the sensor's usual step.
        defects: why its samples are not valid, one clause each.
    """

    rail: str
    idle: WindowMean
    loop: WindowMean
    frame_s: float
    tolerance: float
    part_of: str
    samples: int
    expected: int
    defects: tuple[str, ...]

    @property
    def frame_mj(self) -> float:
        """Energy of a frame over idle, millijoules."""
        return (self.loop.mw - self.idle.mw) * self.frame_s


@dataclass(frozen=True, slots=True)
class PowerFigures:
    """All rails of one paced run; sums leave out a rail that another one contains.

    Attributes:
        rails: one for each rail.
        frames: counted inferences.
        unread: samples that the board could not read.
        defects: why there is no power or energy, one clause each; figures are not to be used then.
    """

    rails: tuple[RailFigures, ...]
    frames: int
    unread: int
    defects: tuple[str, ...]

    @property
    def counted(self) -> tuple[RailFigures, ...]:
        """The rails that add up to the whole."""
        return tuple(rail for rail in self.rails if not rail.part_of)

    @property
    def idle_mw(self) -> float:
        """Mean power while idle."""
        return sum(rail.idle.mw for rail in self.counted)

    @property
    def loop_mw(self) -> float:
        """Mean power in the loop."""
        return sum(rail.loop.mw for rail in self.counted)

    @property
    def frame_mj(self) -> float:
        """Energy of one frame over idle."""
        return sum(rail.frame_mj for rail in self.counted)

    @property
    def gross_frame_mj(self) -> float:
        """Energy of one frame with what the board draws anyway until the next."""
        return sum(rail.loop.mw * rail.frame_s for rail in self.counted)

    @property
    def samples(self) -> int:
        """Samples of all rails in idle window and loop."""
        return sum(rail.samples for rail in self.rails)

    @property
    def missing_share(self) -> float:
        """Fraction of the samples that were due and did not come, unread ones and gaps."""
        due = sum(rail.expected for rail in self.rails)
        return max(self.unread, due - self.samples) / max(due, self.samples + self.unread, 1)

    def frame_interval_mj(self, gross: bool = False) -> tuple[float, float]:
        """Return the 95 % interval of the energy of a frame, net of idle or gross."""
        return energy_interval([(r.idle, r.loop, r.frame_s, r.tolerance) for r in self.counted], gross=gross)

    def total_mw(self, rate_hz: float) -> float:
        """Mean power at ``rate_hz`` frames a second: idle plus rate times energy a frame."""
        return self.idle_mw + rate_hz * self.frame_mj


def power_figures(measured: Measured, rails: Sequence[Rail] | None = None, validity: Validity = _USUAL) -> PowerFigures:
    """Integrate the rails of one run.

    Args:
        measured: the run.
        rails: those of the board's profile: others do not count, and one that is not there is a defect; all if None.
        validity: from when samples count.

    Raises:
        EvidenceError: the run counted no frame.
    """
    frames = len(measured.start_s)
    if frames == 0:
        raise EvidenceError("the run has no frames, so energy per frame is undefined; measure at least one frame")
    known = {rail.label: rail for rail in rails or (Rail(t.rail, 1.0, 0.0, 0.0) for t in measured.rails)}
    traces = [trace for trace in measured.rails if trace.rail in known]
    windows = (Window("idle window", measured.idle_from_s, measured.idle_to_s), _loop(measured))
    found = tuple(_rail(trace, known[trace.rail], windows, frames, validity) for trace in traces)
    absent = sorted(set(known) - {trace.rail for trace in traces})
    trouble = [f"rail {rail.rail}: {defect}" for rail in found for defect in rail.defects]
    trouble += [f"rail {label}: the board reports no trace of it" for label in absent]
    trouble += [] if known else ["the board reports no power rail"]
    return PowerFigures(found, frames, measured.dropped, tuple(trouble))


def _rail(trace: RailTrace, rail: Rail, windows: tuple[Window, Window], frames: int, validity: Validity) -> RailFigures:
    idle, loop = windows
    counts = [coverage(trace, window) for window in windows]
    time_s: NDArray[np.float64] = np.asarray(trace.time_s, np.float64)
    power_mw: NDArray[np.float64] = np.asarray(trace.power_mw, np.float64)
    return RailFigures(
        rail=trace.rail,
        idle=window_mean(time_s, power_mw, idle.begin_s, idle.end_s),
        loop=window_mean(time_s, power_mw, loop.begin_s, loop.end_s),
        frame_s=(loop.end_s - loop.begin_s) / frames,
        tolerance=rail.tolerance,
        part_of=rail.part_of,
        samples=sum(count.received for count in counts),
        expected=sum(count.expected for count in counts),
        defects=tuple(defects(trace, zip(windows, counts, strict=True), validity)),
    )


def _loop(measured: Measured) -> Window:
    """Return the loop: whole periods, so that the last frame's rest counts like the others'."""
    starts = measured.start_s
    if len(starts) > 1:
        return Window("loop", starts[0], starts[-1] + (starts[-1] - starts[0]) / (len(starts) - 1))
    return Window("loop", starts[0], starts[0] + measured.latency_ms[0] / 1000)
