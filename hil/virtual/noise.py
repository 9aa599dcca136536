"""What varies on an emulated board: its runs, its frames and its sensors, drawn from the profile's `Noise`.

A run begins when a model is activated. Each has a factor on latency and one on power, of which a part drifts slowly
(an autoregression, so that runs one after the other are alike) and a part is drawn anew; and an offset of each sensor.
The same seed gives the same runs.
"""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import numpy as np

from firmware_bridge.device.profile_options import Noise
from hil.virtual.power import Sensor

__all__ = ["NO_NOISE", "BoardNoise", "count_start"]

NO_NOISE = Noise(*[0.0] * 7)
"""Of a board whose figures are exactly the model's."""

_MEMORY = 0.9
"""Correlation of the drift in one run with that in the next."""
_TAIL = 4.0
"""Shape of the gamma distribution of single frames: skewness 1, and no frame faster than two deviations."""
_STARTS = "starts"


class BoardNoise:
    """The noise of one board.

    Attributes:
        power: factor on its power in this run.
    """

    def __init__(self, noise: Noise, serial_number: str, *, start: int = 0, seed: int = 0) -> None:
        """Draw for the board of this serial number, which was started for the ``start``-th time."""
        self._noise = noise
        self._random = np.random.default_rng([seed, zlib.crc32(serial_number.encode()), start])
        self._drift = self._random.normal(size=2)
        self._sensors: list[_NoisySensor] = []
        self._latency = self.power = 1.0
        self.begin_run()

    def begin_run(self) -> None:
        """Draw what stays the same until the next run."""
        noise, normal = self._noise, self._random.normal
        self._drift = _MEMORY * self._drift + math.sqrt(1 - _MEMORY**2) * normal(size=2)
        self._latency = math.exp(noise.latency_drift * self._drift[0] + noise.latency_run * normal())
        self.power = math.exp(noise.power_drift * self._drift[1] + noise.power_run * normal())
        for sensor in self._sensors:
            sensor.offset_mw = noise.offset_mw * normal()

    def frame(self) -> float:
        """Return the factor on the latency of the next frame, 1 in the mean over all runs."""
        jitter = (self._random.gamma(_TAIL) - _TAIL) / math.sqrt(_TAIL)
        return self._latency * max(0.0, 1 + self._noise.latency_jitter * jitter)

    def on(self, sensor: Sensor) -> Sensor:
        """Return ``sensor`` with this board's noise before it."""
        noisy = _NoisySensor(sensor, self, self._noise.sensor_mw, self._random)
        noisy.offset_mw = self._noise.offset_mw * self._random.normal()
        self._sensors.append(noisy)
        return noisy


class _NoisySensor:
    """A `hil.virtual.power.Sensor`; as a real chip's register, it never shows less than nothing."""

    def __init__(self, sensor: Sensor, board: BoardNoise, noise_mw: float, random: np.random.Generator) -> None:
        self._sensor = sensor
        self._board = board
        self._noise_mw = noise_mw
        self._random = random
        self.offset_mw = 0.0

    @property
    def label(self) -> str:
        return self._sensor.label

    def write(self, power_mw: float) -> None:
        error_mw = self.offset_mw + self._noise_mw * self._random.normal()
        self._sensor.write(max(0.0, power_mw * self._board.power + error_mw))


def count_start(state: Path) -> int:
    """Return how often the board with this state was started before, and count one more."""
    path = state / _STARTS
    text = path.read_text() if path.exists() else ""
    before = int(text) if text.strip().isdecimal() else 0
    path.write_text(f"{before + 1}\n")
    return before
