"""Power and energy of a run: right where the samples can be true, and no number where they cannot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from firmware_bridge.device.profile import Rail
from firmware_bridge.protocol.messages import Measured, RailTrace
from hil.checks.power import power_figures
from tests.hil.simulated_rails import covered

NOISY = np.random.default_rng(3)


def paced(rails: tuple[RailTrace, ...], frames: int = 60, dropped: int = 0) -> Measured:
    starts = tuple(1.0 + i / 60 for i in range(frames))
    return Measured(starts, (3.0,) * frames, 0.0, 1.0, rails, 1, 0, dropped)


def rail(idle_mw: float, loop_mw: float, step_s: float = 0.01, label: str = "npu") -> RailTrace:
    times = np.arange(0.0, 2.0 + step_s / 2, step_s)
    return RailTrace(label, tuple(times), tuple(np.where(times <= 1.0, idle_mw, loop_mw)))


def test_energy_of_a_frame_is_gross_and_over_idle_and_the_total_is_idle_plus_rate_times_energy() -> None:
    figures = power_figures(paced((rail(500, 2000), rail(100, 400, label="ddr"))))
    assert figures.defects == ()
    assert figures.idle_mw == pytest.approx(600)
    assert figures.frame_mj == pytest.approx((1500 + 300) / 60)
    assert figures.gross_frame_mj == pytest.approx(2400 / 60)
    assert figures.total_mw(60.0) == pytest.approx(2400)
    assert figures.total_mw(30.0) == pytest.approx(1500)


def test_a_rail_that_another_contains_does_not_count_twice_and_foreign_rails_do_not_count() -> None:
    total, part = Rail("VDD_IN", 5.0, 1.0, 1.0), Rail("VDD_NPU", 0.8, 0.6, 0.3, part_of="VDD_IN")
    traces = (rail(900, 4000, label="VDD_IN"), rail(300, 2500, label="VDD_NPU"), rail(7, 8, label="fan"))
    figures = power_figures(paced(traces), (total, part))
    assert [item.rail for item in figures.rails] == ["VDD_IN", "VDD_NPU"]
    assert figures.loop_mw == pytest.approx(4000)


def test_samples_count_by_the_time_they_stand_for() -> None:
    # 0.5 s at 1 W in two samples, 0.5 s at 3 W in fifty: the plain mean would say almost 3 W.
    times = (0.0, 0.5, 1.0, 1.25, 1.5, *np.linspace(1.51, 2.0, 50))
    power = (0.0, 0.0, 0.0, 1000.0, 1000.0, *[3000.0] * 50)
    figures = power_figures(paced((RailTrace("npu", times, power),)))
    assert figures.rails[0].loop.mw == pytest.approx(2000, rel=0.02)


def holes(trace: RailTrace, fraction: float) -> RailTrace:
    kept = NOISY.random(len(trace.time_s)) >= fraction
    pairs = [(t, p) for t, p, keep in zip(trace.time_s, trace.power_mw, kept, strict=True) if keep]
    return RailTrace(trace.rail, tuple(t for t, _ in pairs), tuple(p for _, p in pairs))


def ceiling(trace: RailTrace, top: float) -> RailTrace:
    noisy = np.asarray(trace.power_mw) + NOISY.normal(0, 100, len(trace.power_mw))
    return replace(trace, power_mw=tuple(np.minimum(noisy, top)))


GOOD = rail(500, 2000)
NO_POWER = {
    "it is stuck: every sample is 0 mW": rail(0, 0),
    "it is stuck: every sample is 700 mW": rail(700, 700),
    "samples are negative": rail(-20, 2000),
    "it is saturated at 1800 mW": ceiling(rail(500, 2000, 0.002), 1800.0),
    "one every 0.2 s": rail(500, 2000, 0.2),
    "0 samples in the loop": rail(500, 2000, 3.0),
    "samples came in the": holes(rail(500, 2000, 0.002), 0.12),
    "its clock runs backwards": replace(GOOD, time_s=tuple(reversed(GOOD.time_s))),
    "not all numbers": replace(GOOD, power_mw=(float("nan"), *GOOD.power_mw[1:])),
}


@pytest.mark.parametrize("said", NO_POWER)
def test_samples_that_cannot_be_power_are_named(said: str) -> None:
    assert any(said in defect for defect in power_figures(paced((NO_POWER[said],))).defects)


def test_a_noisy_rail_that_is_all_right_has_no_defect() -> None:
    noisy = replace(GOOD, power_mw=tuple(np.asarray(GOOD.power_mw) + NOISY.normal(0, 30, len(GOOD.power_mw))))
    assert power_figures(paced((noisy,))).defects == ()


def test_a_board_without_its_rails_has_no_power() -> None:
    assert power_figures(paced(())).defects == ("the board reports no power rail",)
    missing = power_figures(paced((GOOD,)), (Rail("npu", 1, 1, 1), Rail("ddr", 1, 0, 0))).defects
    assert missing == ("rail ddr: the board reports no trace of it",)


def test_samples_that_did_not_come_are_counted_although_nobody_reports_them() -> None:
    figures = power_figures(paced((holes(rail(500, 2000, 0.002), 0.06),)))
    assert figures.unread == 0
    assert figures.missing_share == pytest.approx(0.06, abs=0.02)
    assert power_figures(paced((GOOD,), dropped=10)).missing_share == pytest.approx(10 / 210, rel=0.1)


def test_the_stated_interval_of_the_energy_covers_the_truth_as_often_as_it_says() -> None:
    assert 0.92 <= covered(400, seed=5) <= 0.98  # the benchmark draws 1,000
