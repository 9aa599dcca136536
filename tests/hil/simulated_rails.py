"""Rails whose energy is known: load with correlated noise, read by a sensor with tolerance, step and its own clock."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.device.profile import Rail
from firmware_bridge.protocol.messages import Measured, RailTrace
from hil.checks.power import power_figures

__all__ = ["covered"]

_FRAMES, _RATE_HZ, _STEP_S, _IDLE_S = 120, 60.0, 0.01, 1.0
_CLOCK = 100e-6


def covered(count: int, seed: int) -> float:
    """Return the fraction of ``count`` simulated runs whose 95 % interval holds the true net energy of a frame."""
    random = np.random.default_rng(seed)
    return sum(_holds(random) for _ in range(count)) / count


def _holds(random: np.random.Generator) -> bool:
    tolerance = random.uniform(0.001, 0.02)
    idle_mw, active_mw = random.uniform(200, 1500), random.uniform(50, 3000)
    noise_mw, correlation = random.uniform(1, 100), random.uniform(0, 0.6)
    step_mw = random.choice([0.5, 1.0, 3.125, 12.5])
    end_s = _IDLE_S + _FRAMES / _RATE_HZ
    time_s = np.arange(_STEP_S, end_s + _STEP_S, _STEP_S)
    load = idle_mw + active_mw * (time_s > _IDLE_S) + _correlated(random, len(time_s), noise_mw, correlation)
    read = np.rint(load * (1 + tolerance * random.uniform(-1, 1)) / step_mw) * step_mw
    clock = 1 + _CLOCK * random.uniform(-1, 1)
    starts = clock * (_IDLE_S + np.arange(_FRAMES) / _RATE_HZ)
    trace = RailTrace("npu", tuple(clock * time_s), tuple(np.maximum(read, 0)))
    measured = Measured(tuple(starts), (3.0,) * _FRAMES, 0.0, clock * _IDLE_S, (trace,), 1, 0, 0)
    figures = power_figures(measured, (Rail("npu", 1.0, 1.0, 1.0, tolerance=tolerance),))
    low, high = figures.frame_interval_mj()
    return low <= active_mw / _RATE_HZ <= high


def _correlated(random: np.random.Generator, n: int, sigma: float, correlation: float) -> NDArray[np.float64]:
    noise = random.normal(0, sigma, n)
    for i in range(1, n):
        noise[i] = correlation * noise[i - 1] + np.sqrt(1 - correlation**2) * noise[i]
    return noise
