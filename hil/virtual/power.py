"""A virtual board's power: modelled values are written to sensors, which the agent's code for real boards reads.

Each value is the modelled mean over the time since the last one, as an averaging sensor (INA226) gives it. So the sum
of value times window is the modelled energy, exactly. The emulated board's sensors are files of the Linux hwmon layout.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from firmware_bridge.agent.inference.clock import Clock
from firmware_bridge.device.profile import BoardProfile, Rail

__all__ = ["PERIOD_S", "ModelledPower", "Sensor", "hwmon_files"]

PERIOD_S = 0.002
"""The sensors' update interval: the shortest that an INA226 has with both conversions at 1.1 ms, rounded."""

_LONGEST_WINDOW_S = 0.1  # after a rest, the first value is about now, not about the rest


class Sensor(Protocol):
    """What a rail's modelled power is written to."""

    @property
    def label(self) -> str:
        """The rail's label."""
        ...

    def write(self, power_mw: float) -> None:
        """Show this power, milliwatts, from now on."""
        ...


@dataclass(frozen=True, slots=True)
class _Busy:
    begin_s: float
    end_s: float
    power_mw: float


class ModelledPower:
    """The rails of one board."""

    def __init__(
        self, sensors: Sequence[Sensor], profile: BoardProfile, clock: Clock, period_s: float = PERIOD_S
    ) -> None:
        """Write to the sensors now, and every ``period_s`` of ``clock`` from now on."""
        self._profile = profile
        self._clock = clock
        self._busy: deque[_Busy] = deque()
        self._last_s = clock.now_s()
        self._sensors = tuple(sensors)
        self._write(0.0)
        clock.every(period_s, self._update)

    def busy(self, begin_s: float, seconds: float, energy_mj: float) -> None:
        """Let the board draw ``energy_mj`` on top of its idle power, evenly from ``begin_s`` on for ``seconds``."""
        if seconds > 0:
            self._busy.append(_Busy(begin_s, begin_s + seconds, energy_mj / seconds))

    def _update(self) -> None:
        now_s = self._clock.now_s()
        since_s = max(self._last_s, now_s - _LONGEST_WINDOW_S)
        if now_s <= since_s:
            return
        energy_mj = sum(
            busy.power_mw * max(0.0, min(busy.end_s, now_s) - max(busy.begin_s, since_s)) for busy in self._busy
        )
        while self._busy and self._busy[0].end_s <= now_s:
            self._busy.popleft()
        self._last_s = now_s
        self._write(energy_mj / (now_s - since_s))

    def _write(self, active_mw: float) -> None:
        rails_mw = self._profile.rail_mw(active_mw)
        for sensor in self._sensors:
            sensor.write(rails_mw[sensor.label])


def hwmon_files(folder: Path, profile: BoardProfile) -> list[Sensor]:
    """Create a chip's files for each rail, under ``folder/hwmonN``."""
    return [_HwmonFiles(folder / f"hwmon{n}", rail) for n, rail in enumerate(profile.rails)]


class _HwmonFiles:
    """One chip with one channel."""

    def __init__(self, folder: Path, rail: Rail) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.label = rail.label
        self._nominal_v = rail.nominal_v
        self._written_uw = -1
        fixed = {
            "name": "ina226",
            "power1_label": rail.label,
            "in1_input": f"{1e3 * rail.nominal_v:.0f}",
            "update_interval": f"{1e3 * PERIOD_S:.0f}",
        }
        for name, text in fixed.items():
            (folder / name).write_text(f"{text}\n")
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
        self._power, self._current = (os.open(folder / name, flags, 0o644) for name in ("power1_input", "curr1_input"))

    def write(self, power_mw: float) -> None:
        power_uw = round(1e3 * power_mw)
        if power_uw != self._written_uw:
            _overwrite(self._power, power_uw)
            _overwrite(self._current, round(power_mw / self._nominal_v))
            self._written_uw = power_uw


def _overwrite(descriptor: int, value: int) -> None:
    text = b"%d\n" % value
    os.pwrite(descriptor, text, 0)
    os.ftruncate(descriptor, len(text))
