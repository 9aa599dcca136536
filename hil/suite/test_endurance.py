# ruff: noqa: D103 - a test's name is its promise
"""The board holds out: a minute at full rate does not slow it down, and loading the model anew changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_bridge.device.graph import Graph
from firmware_bridge.device.profile import BoardProfile
from firmware_bridge.host.board import Board
from firmware_bridge.package.container import PackageFile
from firmware_bridge.protocol.messages import RailTrace
from hil.checks.board_frames import noise
from hil.checks.install import Installation
from hil.measurements.measurement import Limit
from hil.measurements.recorder import Recorder

pytestmark = pytest.mark.ks_tier("release")

_SUSTAINED_S = 60.0
_RISE = Limit(high=0.10, why="a board that throttles misses it by far more")
_ROUNDS = 30
_SEED = 5


@pytest.mark.ks_figures("sustained_latency_rise", "sustained_power_rise")
def test_a_minute_at_full_rate_makes_the_board_neither_slower_nor_hotter(
    ks_board: Board, ks_installed: Installation, ks_profile: BoardProfile, ks_record: Recorder
) -> None:
    rate_hz = ks_profile.frame_rate_hz
    frames = int(_SUSTAINED_S * rate_hz)
    ks_record.say(f"a sustained run of {_SUSTAINED_S:.0f} s")
    run = ks_board.measure(frames=frames, warmup=0, rate_hz=rate_hz, idle_s=0.0)
    latency, tenth = np.asarray(run.latency_ms), max(1, frames // 10)
    first, last = float(np.median(latency[:tenth])), float(np.median(latency[-tenth:]))
    note = f"{first:.4g} ms in the first tenth of {_SUSTAINED_S:.0f} s, {last:.4g} ms in the last"
    rise = ks_record.figure(
        "sustained_latency_rise", last / first - 1, "1", limit=_RISE, basis=ks_record.time_basis, n=frames, note=note,
    )  # fmt: skip
    cold, warm = (sum(_mean_mw(trace, run.start_s, part) for trace in run.rails) for part in (0, -1))
    note = f"{cold:.0f} mW in the first tenth, {warm:.0f} mW in the last; leakage grows with heat"
    power = ks_record.figure(
        "sustained_power_rise", warm / cold - 1 if cold > 0 else float("nan"), "1", limit=_RISE,
        basis=ks_record.time_basis, n=sum(len(trace.time_s) for trace in run.rails), note=note,
    )  # fmt: skip
    ks_record.require(rise, power)


@pytest.mark.ks_figures("soak_failures")
def test_loading_the_model_over_and_over_gives_the_same_answers(
    ks_board: Board, ks_package: PackageFile, ks_installed: Installation, ks_record: Recorder
) -> None:
    random = np.random.default_rng(_SEED)
    frame = {t.name: noise(random, t.dtype, t.shape) for t in Graph.parse(ks_package.payload()).inputs}
    expected, failures = ks_board.infer(frame).outputs, 0
    for number in range(_ROUNDS):
        ks_record.say(f"soak: round {number + 1} of {_ROUNDS}")
        ks_board.activate(ks_installed.slot)
        outputs = ks_board.infer(frame).outputs
        failures += any(not np.array_equal(outputs[name], value) for name, value in expected.items())
    none = Limit(high=0, why="the same frame, the same model")
    ks_record.require(ks_record.figure("soak_failures", failures, "1", limit=none, n=_ROUNDS))


def _mean_mw(trace: RailTrace, start_s: tuple[float, ...], part: int) -> float:
    """Return the mean power of one rail over the first (0) or the last (-1) tenth of the run."""
    time_s, power_mw = np.asarray(trace.time_s), np.asarray(trace.power_mw)
    tenth = (start_s[-1] - start_s[0]) / 10
    low = start_s[0] if part == 0 else start_s[-1] - tenth
    inside = power_mw[(time_s >= low) & (time_s <= low + tenth)]
    return float(inside.mean()) if len(inside) else float("nan")
