# ruff: noqa: D103 - a test's name is its promise
"""The board stays within its power budget at full frame rate; every rail is shown."""

from __future__ import annotations

import math
import re

import pytest

from firmware_bridge.device.profile import BoardProfile
from hil.checks.power import PowerFigures
from hil.measurements.measurement import Better, Limit, Measurement
from hil.measurements.recorder import Recorder


@pytest.mark.ks_figures("power_total", "power_idle")
def test_total_power_stays_within_the_budget(
    ks_power: PowerFigures, ks_profile: BoardProfile, ks_record: Recorder
) -> None:
    n, rate = ks_power.samples, ks_profile.frame_rate_hz
    budget = Limit(high=ks_profile.budget_mw, why="power budget")
    note = f"idle plus {rate:g} times the energy of a frame"
    total = _figure(ks_record, ks_power, "power_total", ks_power.total_mw(rate), "mW", n, note, budget)
    idle = _figure(ks_record, ks_power, "power_idle", ks_power.idle_mw, "mW", n, "before the loop")
    ks_record.require(total, idle)


@pytest.mark.ks_figures("energy_per_frame", "energy_per_frame_gross")
def test_each_rail_has_power_and_energy_a_frame(ks_power: PowerFigures, ks_record: Recorder) -> None:
    for rail in ks_power.rails:
        name = re.sub(r"[^a-z0-9]+", "_", rail.rail.lower()).strip("_")
        part = f"; part of {rail.part_of}" if rail.part_of else ""
        note = f"{rail.idle.mw:.0f} mW idle, {rail.frame_mj:.3g} mJ a frame over idle{part}"
        _figure(ks_record, ks_power, f"power_rail_{name}", rail.loop.mw, "mW", rail.samples, note)
    net = _energy(ks_record, ks_power, "energy_per_frame", gross=False)
    ks_record.require(net, _energy(ks_record, ks_power, "energy_per_frame_gross", gross=True))
    loop_mw, idle_mw = ks_power.loop_mw, ks_power.idle_mw
    assert loop_mw >= idle_mw > 0, f"{loop_mw:.0f} mW in the loop, {idle_mw:.0f} mW idle: rails are wrong"


@pytest.mark.ks_figures("power_samples_missing")
def test_rail_samples_are_complete(ks_power: PowerFigures, ks_profile: BoardProfile, ks_record: Recorder) -> None:
    limit = Limit(high=ks_profile.validity.missing_fraction, why="what a gap drew is a guess")
    due = sum(rail.expected for rail in ks_power.rails)
    note = f"{ks_power.samples} of {due} samples that were due at the sensors' own step; {ks_power.unread} not readable"
    found, n = ks_power.missing_share, ks_power.samples
    ks_record.require(ks_record.figure("power_samples_missing", found, "1", limit=limit, n=n, note=note))


def _energy(record: Recorder, figures: PowerFigures, name: str, *, gross: bool) -> Measurement:
    value = figures.gross_frame_mj if gross else figures.frame_mj
    low, high = figures.frame_interval_mj(gross)
    what = "with what the board draws anyway" if gross else "over idle"
    note = f"{what}, mean of {figures.frames} frames, 95 % interval {low:.4g} to {high:.4g} mJ"
    return _figure(record, figures, name, value, "mJ", figures.frames, note)


def _figure(
    record: Recorder,
    figures: PowerFigures,
    name: str,
    value: float,
    unit: str,
    n: int,
    note: str,
    limit: Limit | None = None,
) -> Measurement:
    invalid = "; ".join(figures.defects)
    return record.figure(
        name, math.nan if invalid else value, unit, limit=limit, basis=record.time_basis, n=n,
        note="" if invalid else note, better=Better.LOWER, invalid=invalid,
    )  # fmt: skip
