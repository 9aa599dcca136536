"""Running the active model in a paced loop, with the rails sampled on the same clock in the same run.

Latency is taken around the inference alone: receiving the inputs is not timed, and the clock does not run while the
answer is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from firmware_bridge.agent.errors import UsageError
from firmware_bridge.agent.inference.clock import Clock
from firmware_bridge.agent.inference.engine import LoadedModel
from firmware_bridge.agent.inference.rails import Rails
from firmware_bridge.protocol.messages import Measured, RailTrace

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Pace", "run_paced"]

_FRAMES_LIMIT = 100_000
_RATE_LIMIT_HZ = 10_000.0
_IDLE_LIMIT_S = 60.0
_DURATION_LIMIT_S = 900.0
_SAMPLES_LIMIT = 60_000
"""Samples of one rail: with eight rails, times and values stay well below what one message holds."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How a loop runs.

    Attributes:
        frames: inferences that are counted.
        warmup: inferences before them.
        rate_hz: begins a second; 0 runs back to back.
        idle_s: how long the rails are sampled before the loop.
    """

    frames: int
    warmup: int
    rate_hz: float
    idle_s: float

    def check(self) -> None:
        """Refuse what would occupy the board for too long.

        Raises:
            UsageError: a value is out of its range.
        """
        for name, value, minimum, maximum in (
            ("frames", self.frames, 1, _FRAMES_LIMIT),
            ("warmup", self.warmup, 0, _FRAMES_LIMIT),
            ("rate_hz", self.rate_hz, 0, _RATE_LIMIT_HZ),
            ("idle_s", self.idle_s, 0, _IDLE_LIMIT_S),
        ):
            if not minimum <= value <= maximum:
                raise UsageError(f"{name} must be from {minimum:g} to {maximum:g}, not {value:g}")
        if self.rate_hz and self.duration_s > _DURATION_LIMIT_S:
            raise UsageError(f"this loop would take {self.duration_s:.0f} s; the limit is {_DURATION_LIMIT_S:.0f} s")

    @property
    def duration_s(self) -> float:
        """How long it takes when every frame is in time; the idle window alone if it runs back to back."""
        loop_s = (self.frames + self.warmup) / self.rate_hz if self.rate_hz else 0.0
        return self.idle_s + loop_s


class _RailRecorder:
    """Samples of all rails, with the clock's time; a long run is thinned out evenly as it goes."""

    def __init__(self, rails: Rails, clock: Clock) -> None:
        self._rails = rails
        self._clock = clock
        self._times: list[list[float]] = [[] for _ in rails.labels]
        self._values: list[list[float]] = [[] for _ in rails.labels]
        self._calls = 0
        self._keep_every = 1
        self.dropped = 0

    def sample(self) -> None:
        self._calls += 1
        if self._calls % self._keep_every:
            return
        time_s = self._clock.now_s()
        for times, values, power_mw in zip(self._times, self._values, self._rails.read_mw(), strict=True):
            if power_mw is None:
                self.dropped += 1
            else:
                times.append(time_s)
                values.append(power_mw)
        if any(len(times) >= _SAMPLES_LIMIT for times in self._times):
            self._thin_out()

    def _thin_out(self) -> None:
        for samples in (*self._times, *self._values):
            del samples[::2]
        self._keep_every *= 2

    def traces(self) -> tuple[RailTrace, ...]:
        triples = zip(self._rails.labels, self._times, self._values, strict=True)
        return tuple(RailTrace(label, tuple(times), tuple(values)) for label, times, values in triples)


def run_paced(
    model: LoadedModel, inputs: Mapping[str, NDArray[Any]], pace: Pace, clock: Clock, rails: Rails
) -> Measured:
    """Sample the rails while the board is idle, then while ``model`` runs.

    Frame i begins at i / rate after the first, or as soon as the frame before it has ended when that is later.

    Raises:
        UsageError: the pace or the inputs are wrong.
        EngineError: the runtime failed.
    """
    pace.check()
    recorder = _RailRecorder(rails, clock)
    stop_sampling = clock.every(rails.period_s, recorder.sample)
    try:
        idle_from_s = clock.now_s()
        clock.sleep_until_s(idle_from_s + pace.idle_s)
        idle_to_s = clock.now_s()
        start_s, latency_ms = _loop(model, inputs, pace, clock)
        clock.sleep_until_s(clock.now_s() + rails.period_s)  # the last frame's end is in a sample, too
    finally:
        stop_sampling()
    return Measured(
        start_s=start_s,
        latency_ms=latency_ms,
        idle_from_s=idle_from_s,
        idle_to_s=idle_to_s,
        rails=recorder.traces(),
        npu_ops=model.npu_ops,
        cpu_ops=model.cpu_ops,
        dropped=recorder.dropped,
    )


def _loop(
    model: LoadedModel, inputs: Mapping[str, NDArray[Any]], pace: Pace, clock: Clock
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    period_s = 1 / pace.rate_hz if pace.rate_hz else 0.0
    starts, latencies = [], []
    first_s = clock.now_s()
    for frame in range(pace.warmup + pace.frames):
        clock.sleep_until_s(first_s + frame * period_s)
        begin_s = clock.now_s()
        model.run(inputs)
        end_s = clock.now_s()
        if frame >= pace.warmup:
            starts.append(begin_s)
            latencies.append(1e3 * (end_s - begin_s))
    clock.sleep_until_s(first_s + (pace.warmup + pace.frames) * period_s)  # the last frame's whole period is sampled
    return tuple(starts), tuple(latencies)
