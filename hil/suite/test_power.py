# ruff: noqa: D103 - a test's name is its promise
"""The board stays within its power budget at full frame rate; every rail is shown."""

from __future__ import annotations

import re

import pytest

from firmware_bridge.device.profile import BoardProfile
from firmware_bridge.protocol.messages import Measured
from hil.checks.power import PowerFigures, power_figures
from hil.measurements.measurement import Better, Limit
from hil.measurements.recorder import Recorder

_DROPPED = Limit(high=0.001, why="more would bias the mean")


@pytest.fixture(scope="module")
def figures(ks_measured: Measured) -> PowerFigures:
    return power_figures(ks_measured)


@pytest.mark.ks_figures("power_total", "power_idle")
def test_total_power_stays_within_the_budget(
    figures: PowerFigures, ks_profile: BoardProfile, ks_record: Recorder
) -> None:
    basis, n, rate = ks_record.time_basis, figures.samples, ks_profile.frame_rate_hz
    total = ks_record.figure(
        "power_total", figures.total_mw(rate), "mW", limit=Limit(high=ks_profile.budget_mw, why="power budget"),
        basis=basis, n=n, note=f"idle plus {rate:g} times the energy of a frame", better=Better.LOWER,
    )  # fmt: skip
    ks_record.figure(
        "power_idle", figures.idle_mw, "mW", basis=basis, n=figures.idle_samples, note="all rails, before the loop",
        better=Better.LOWER,
    )  # fmt: skip
    ks_record.require(total)


@pytest.mark.ks_figures("energy_per_frame")
def test_each_rail_has_power_and_energy_a_frame(figures: PowerFigures, ks_record: Recorder) -> None:
    basis = ks_record.time_basis
    for rail in figures.rails:
        name = re.sub(r"[^a-z0-9]+", "_", rail.rail.lower()).strip("_")
        note = f"{rail.idle_mw:.0f} mW idle, {rail.frame_mj:.3g} mJ a frame over idle"
        ks_record.figure(
            f"power_rail_{name}", rail.loop_mw, "mW", basis=basis, n=rail.samples, note=note, better=Better.LOWER
        )
    note = f"over idle, all rails, mean of {figures.frames} frames"
    ks_record.figure(
        "energy_per_frame", figures.frame_mj, "mJ", basis=basis, n=figures.frames, note=note, better=Better.LOWER
    )
    loop_mw = sum(rail.loop_mw for rail in figures.rails)
    assert loop_mw >= figures.idle_mw > 0, (
        f"{loop_mw:.0f} mW in the loop, {figures.idle_mw:.0f} mW idle: rails are wrong"
    )


@pytest.mark.ks_figures("power_samples_dropped")
def test_rail_samples_are_complete(figures: PowerFigures, ks_record: Recorder) -> None:
    note = f"{figures.dropped} dropped"
    share = ks_record.figure(
        "power_samples_dropped",
        figures.dropped_share,
        "1",
        limit=_DROPPED,
        n=figures.samples + figures.idle_samples,
        note=note,
    )
    ks_record.require(share)
