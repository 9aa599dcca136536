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


@pytest.mark.ks_figures("latency_p50", "latency_p90", "latency_p99")
def test_latency_stays_within_the_decision_window(
    ks_measured: Measured, ks_profile: BoardProfile, ks_record: Recorder
) -> None:
    samples = np.asarray(ks_measured.latency_ms)
    window = Limit(high=ks_profile.window_ms, why="decision window")
    needed = ks_profile.validity.latency_samples
    ks_record.require(*(_latency(ks_record, samples, share, window, needed) for share in (0.50, 0.90, 0.99)))


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
    enough = len(samples) >= needed
    value = quantile(samples, share) if enough else math.nan
    low, high = interval(samples, share) if enough else (math.nan, math.nan)
    note = f"95 % interval {low:.3g} to {high:.3g} ms" if enough else f"at least {needed} frames are needed"
    return record.figure(
        f"latency_p{share * 100:.0f}", value, "ms", limit=window, basis=record.time_basis, n=len(samples), note=note,
        better=Better.LOWER, quantile=share, series=LATENCY,
    )  # fmt: skip
