# ruff: noqa: D103 - a test's name is its promise
"""An answer comes within the decision window, and frames are kept up with."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_bridge.device.profile import BoardProfile
from firmware_bridge.package.container import PackageFile
from firmware_bridge.protocol.messages import Measured
from hil.measurements.measurement import Better, Limit, Margin, Measurement, Varies
from hil.measurements.quantiles import interval, quantile
from hil.measurements.recorder import Recorder
from hil.measurements.results import LATENCY

# A crystal's tolerance and the first frame's phase; a board that drops frames misses it by far more.
_RATE_TOLERANCE = 0.01
_THOUSAND = 1000  # fewer frames have no thousandth
# As the 99th percentile of the latency is held to the decision window.
_MISSED = Limit(high=0.01, why="one frame in a hundred may be late")


@pytest.mark.ks_figures("latency_p50", "latency_p90", "latency_p99")
def test_latency_stays_within_the_decision_window(
    ks_measured: Measured, ks_profile: BoardProfile, ks_record: Recorder
) -> None:
    samples = np.asarray(ks_measured.latency_ms)
    window = Limit(high=ks_profile.window_ms, why="decision window")
    needed = ks_profile.validity.latency_samples
    ks_record.require(*(_latency(ks_record, samples, share, window, needed) for share in (0.50, 0.90, 0.99)))


@pytest.mark.ks_tier("release")
@pytest.mark.ks_figures("latency_p999")
def test_latency_of_the_slowest_frame_in_a_thousand_has_a_time(
    ks_measured: Measured, ks_profile: BoardProfile, ks_record: Recorder
) -> None:
    samples = np.asarray(ks_measured.latency_ms)
    ks_record.require(
        _latency(ks_record, samples, 0.999, Limit(high=ks_profile.window_ms, why="decision window"), _THOUSAND)
    )


@pytest.mark.ks_figures("latency_worst", "frame_jitter")
def test_worst_latency_and_jitter_are_shown(
    ks_measured: Measured, ks_profile: BoardProfile, ks_record: Recorder
) -> None:
    latency, starts = np.asarray(ks_measured.latency_ms), np.asarray(ks_measured.start_s)
    basis, n = ks_record.time_basis, len(latency)
    ks_record.figure("latency_worst", latency.max(), "ms", basis=basis, n=n, note=f"frame {int(latency.argmax()) + 1}")
    late_ms = np.abs(np.diff(starts) * 1e3 - 1e3 / ks_profile.frame_rate_hz)
    note = "how far frames begin from the frame period, 99th percentile"
    jitter = quantile(late_ms, 0.99) if len(late_ms) else math.nan
    ks_record.figure("frame_jitter", jitter, "ms", basis=basis, n=len(late_ms), note=note)


@pytest.mark.ks_figures("missed_windows", "missed_periods")
def test_answers_seldom_miss_the_decision_window(
    ks_measured: Measured, ks_profile: BoardProfile, ks_record: Recorder
) -> None:
    latency, n = np.asarray(ks_measured.latency_ms), len(ks_measured.latency_ms)
    # Whether frames are kept up with is the frame rate's limit; a late answer now and then need not lose one.
    deadlines = (
        ("missed_windows", ks_profile.window_ms, _MISSED),
        ("missed_periods", 1e3 / ks_profile.frame_rate_hz, None),
    )
    for name, deadline_ms, limit in deadlines:
        late = int((latency > deadline_ms).sum())
        note = f"{late} of {n} frames took longer than {deadline_ms:.4g} ms"
        found = ks_record.figure(name, late / n, "1", limit=limit, basis=ks_record.time_basis, n=n, note=note)
        ks_record.require(found)


@pytest.mark.ks_figures("frame_rate")
def test_frame_rate_is_kept(ks_measured: Measured, ks_profile: BoardProfile, ks_record: Recorder) -> None:
    starts = ks_measured.start_s
    rate = (len(starts) - 1) / (starts[-1] - starts[0]) if len(starts) > 1 else math.nan
    wanted_hz = ks_profile.frame_rate_hz
    limit = Limit(low=wanted_hz * (1 - _RATE_TOLERANCE), why=f"{wanted_hz:g} frames/s")
    basis, n = ks_record.time_basis, max(0, len(starts) - 1)
    ks_record.require(ks_record.figure("frame_rate", rate, "1/s", limit=limit, basis=basis, n=n, better=Better.HIGHER))


@pytest.mark.ks_figures("npu_ops")
def test_npu_takes_the_operations_that_the_package_counts_on(
    ks_measured: Measured, ks_package: PackageFile, ks_record: Recorder
) -> None:
    limit = Limit(low=ks_package.manifest_unverified.npu_ops, why="the package's manifest; fewer fell to the CPU")
    note = f"{ks_measured.cpu_ops} on the CPU"
    ks_record.require(
        ks_record.figure(
            "npu_ops", ks_measured.npu_ops, "1", limit=limit, basis=ks_record.time_basis, note=note,
            better=Better.HIGHER, margin=Margin(0.0, 0.0), varies=Varies.NEVER,
        )
    )  # fmt: skip


def _latency(record: Recorder, samples: NDArray[np.float64], share: float, window: Limit, needed: int) -> Measurement:
    name = f"latency_p{share * 100:g}".replace(".", "")
    enough = len(samples) >= needed
    value = quantile(samples, share) if enough else math.nan
    low, high = interval(samples, share) if enough else (math.nan, math.nan)
    note = f"95 % interval {low:.3g} to {high:.3g} ms" if enough else f"at least {needed} frames are needed"
    return record.figure(
        name, value, "ms", limit=window, basis=record.time_basis, n=len(samples), note=note,
        better=Better.LOWER, quantile=share, series=LATENCY,
    )  # fmt: skip
