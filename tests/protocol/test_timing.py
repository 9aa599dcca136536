"""The two estimators: their formulas, and how fast they follow the line."""

from __future__ import annotations

import math

import pytest

from firmware_bridge.protocol.timing import FrameSizer, RoundTrip


def test_the_timeout_follows_the_published_formula_and_doubles_when_it_expires():
    trip = RoundTrip()
    trip.sample(0.2)
    assert trip.timeout_s == pytest.approx(0.2 + 4 * 0.1)
    trip.sample(0.4)
    variation = 0.1 + (0.2 - 0.1) / 4
    assert trip.timeout_s == pytest.approx(0.2 + 0.2 / 8 + 4 * variation)
    before = trip.timeout_s
    trip.back_off()
    assert trip.timeout_s == pytest.approx(2 * before)
    trip.sample(0.3)
    assert trip.timeout_s < 2 * before


def test_the_timeout_stays_within_its_bounds():
    trip = RoundTrip()
    for _ in range(100):
        trip.sample(0.001)
    assert trip.timeout_s == pytest.approx(0.1)
    for _ in range(20):
        trip.back_off()
    assert trip.timeout_s == pytest.approx(4.0)


@pytest.mark.parametrize("rate", [1e-5, 1e-4, 1e-3])
def test_the_size_settles_near_the_best_for_the_error_rate(rate):
    sizer = FrameSizer(unit_bytes=128, cap_bytes=4096, overhead_bytes=12)
    debt = 0.0
    for _ in range(3000):
        size = sizer.payload_bytes + 12
        debt += 1 - (1 - rate) ** size
        lost, debt = debt >= 1, debt % 1 if debt >= 1 else debt
        sizer.report(size, lost=lost)
    best = min(max(128, math.sqrt(12 / rate)), 4096)
    assert 0.5 * best <= sizer.payload_bytes <= 1.6 * best


def test_without_errors_expected_every_frame_has_the_cap():
    sizer = FrameSizer(unit_bytes=16384, cap_bytes=65536, overhead_bytes=12, adaptive=False)
    sizer.report(65548, lost=True)
    assert sizer.payload_bytes == 65536


def test_a_frame_is_never_smaller_than_one_unit():
    sizer = FrameSizer(unit_bytes=128, cap_bytes=1024, overhead_bytes=12)
    for _ in range(100):
        sizer.report(140, lost=True)
    assert sizer.payload_bytes == 128
