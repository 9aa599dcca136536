"""The figures of one leg: what a comparison by blocks takes from one paced run of one package."""

from __future__ import annotations

import math

import numpy as np

from firmware_bridge.device.profile import BoardProfile
from firmware_bridge.protocol.messages import Measured
from hil.checks.power import power_figures
from hil.comparison.blocks import LegFigure
from hil.measurements.quantiles import quantile

__all__ = ["leg_figures"]

_QUANTILES = (0.50, 0.90, 0.99)


def leg_figures(measured: Measured, profile: BoardProfile) -> dict[str, LegFigure]:
    """Return latency, power and energy of one paced run, under the names that the suite gives them.

    Args:
        measured: the run.
        profile: of its board: rails, frame rate, and how many samples a figure needs.
    """
    latency_ms = np.asarray(measured.latency_ms, np.float64)
    needed = profile.validity.latency_samples
    few = f"{len(latency_ms)} frames, {needed} are needed" if len(latency_ms) < needed else ""
    found = {}
    for fraction in _QUANTILES:
        value = math.nan if few else quantile(latency_ms, fraction)
        found[f"latency_p{round(100 * fraction)}"] = LegFigure(value, "ms", invalid=few)
    power = power_figures(measured, profile.rails, profile.validity)
    invalid = "; ".join(power.defects)
    for name, value, unit in (
        ("power_total", power.total_mw(profile.frame_rate_hz), "mW"),
        ("energy_per_frame", power.frame_mj, "mJ"),
        ("energy_per_frame_gross", power.gross_frame_mj, "mJ"),
    ):
        found[name] = LegFigure(math.nan if invalid else value, unit, invalid=invalid)
    return found
