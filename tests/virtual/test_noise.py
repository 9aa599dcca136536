"""An emulated board varies as its profile says: from run to run, from frame to frame, and in its sensors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from firmware_bridge.device.profile import BoardProfile, profile_text
from firmware_bridge.device.profile_options import Noise
from firmware_bridge.errors import InputError
from hil.virtual.noise import NO_NOISE, BoardNoise, count_start

NOISE = Noise()


class Shown:
    """A sensor that remembers what it shows."""

    label = "VDD_NPU"

    def __init__(self) -> None:
        self.mw: list[float] = []

    def write(self, power_mw: float) -> None:
        self.mw.append(power_mw)


def runs(board: BoardNoise, count: int) -> np.ndarray:
    """Return latency and power of each run, means over its frames, float64 [runs, 2]."""
    found = []
    for _ in range(count):
        board.begin_run()
        found.append((np.mean([board.frame() for _ in range(200)]), board.power))
    return np.array(found)


def test_the_same_seed_board_and_start_draw_the_same_and_any_other_one_does_not() -> None:
    def drawn(serial: str = "B1", start: int = 0, seed: int = 0) -> list[float]:
        board = BoardNoise(NOISE, serial, start=start, seed=seed)
        return [board.frame() for _ in range(4)]

    assert drawn() == drawn()
    assert len({tuple(drawn(**other)) for other in ({}, {"serial": "B2"}, {"start": 1}, {"seed": 1})}) == 4


def test_runs_vary_by_what_the_profile_says() -> None:
    found = np.log(np.concatenate([runs(BoardNoise(NOISE, f"B{n}"), 4) for n in range(150)]))
    latency, power = np.hypot(NOISE.latency_run, NOISE.latency_drift), np.hypot(NOISE.power_run, NOISE.power_drift)
    assert found.std(axis=0) == pytest.approx((latency, power), rel=0.15)
    assert found.mean(axis=0) == pytest.approx((0, 0), abs=0.001)


def test_neighbouring_runs_are_more_alike_than_distant_ones() -> None:
    found = np.array([np.log(runs(BoardNoise(NOISE, f"B{n}"), 12))[:, 1] for n in range(120)])
    assert (found[:, 1] - found[:, 0]).std() < 0.85 * (found[:, 11] - found[:, 0]).std()


def test_single_frames_have_their_tail_on_the_slow_side() -> None:
    board = BoardNoise(replace(NO_NOISE, latency_jitter=0.01), "B")
    frames = np.array([board.frame() for _ in range(4000)])
    assert frames.std() == pytest.approx(0.01, rel=0.1)
    assert frames.max() - 1 > 1.5 * (1 - frames.min())


def test_a_sensor_has_noise_an_offset_of_its_run_and_the_runs_power() -> None:
    board, sensor = BoardNoise(replace(NOISE, offset_mw=20.0), "B"), Shown()
    noisy, means = board.on(sensor), []
    for _ in range(30):
        board.begin_run()
        for _ in range(100):
            noisy.write(1000.0)
        means.append(np.mean(sensor.mw[-100:]) / board.power)
        assert np.std(sensor.mw[-100:]) == pytest.approx(NOISE.sensor_mw, rel=0.35)
    assert np.std(means) == pytest.approx(20, rel=0.4)
    noisy.write(0.0)
    assert min(sensor.mw) >= 0


def test_without_noise_a_board_is_exactly_the_model() -> None:
    board, sensor = BoardNoise(NO_NOISE, "B"), Shown()
    board.on(sensor).write(123.0)
    assert (board.frame(), board.power, sensor.mw) == (1.0, 1.0, [123.0])


def test_each_start_of_a_board_is_counted(tmp_path: Path) -> None:
    assert [count_start(tmp_path) for _ in range(3)] == [0, 1, 2]


def test_a_profile_says_how_its_board_varies_and_when_samples_count() -> None:
    text = profile_text("ks100")
    more = '[noise]\nlatency_run = { value = 0, source = "x" }\n'
    more += '[validity]\nwindow_samples = { value = 50, source = "x" }\n'
    profile = BoardProfile.parse(text + more, "own.toml")
    assert (profile.noise.latency_run, profile.noise.power_run) == (0, NOISE.power_run)
    assert (profile.validity.window_samples, profile.validity.missing_fraction) == (50, 0.05)
    with pytest.raises(InputError, match=r"noise\.wind is unknown; \[noise\] may have latency_run"):
        BoardProfile.parse(text + '[noise]\nwind = { value = 1, source = "x" }\n', "own.toml")
    with pytest.raises(InputError, match=r"noise\.power_run has no source"):
        BoardProfile.parse(text + "[noise]\npower_run = { value = 0.1 }\n", "own.toml")
