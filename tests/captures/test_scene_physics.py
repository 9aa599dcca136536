from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.scenes.atmosphere import Atmosphere
from models.scenes.sensor import COUNTS_PER_KELVIN, EoSensor, LwirSensor, blur
from models.scenes.thermal import SURFACES, Heating, crossover_hours, surface_temperature_k

_DRY = {"rain_mm_h": 0.0, "air_k": 293.15, "relative_humidity": 0.5}
_GROUNDS = ("sand", "grass", "asphalt", "soil", "snow")


@pytest.mark.parametrize(("visibility_km", "contrast"), [(23, 0.92), (5, 0.68), (2, 0.38), (1, 0.14)])
def test_visible_contrast_at_500_m_is_koschmieders(visibility_km: float, contrast: float) -> None:
    air = Atmosphere("haze", visibility_km * 1000, **_DRY)
    assert float(air.eo_transmission(500.0)) == pytest.approx(contrast, abs=0.005)


@pytest.mark.parametrize(("celsius", "humidity", "transmission"), [(10, 0.3, 0.92), (20, 0.5, 0.85), (30, 0.8, 0.69)])
def test_thermal_gas_transmission_over_500_m_is_the_tabulated(
    celsius: float, humidity: float, transmission: float
) -> None:
    air = Atmosphere("clear", 1e7, 0.0, 273.15 + celsius, humidity)
    assert float(air.lwir_transmission(500.0)) == pytest.approx(transmission, abs=0.005)


def test_rain_of_2_5_mm_h_leaves_four_fifths_over_500_m_in_both_bands() -> None:
    dry, wet = Atmosphere("clear", 1e7, **_DRY), Atmosphere("precipitation", 1e7, **{**_DRY, "rain_mm_h": 2.5})
    for band in ("eo_transmission", "lwir_transmission"):
        ratio = float(getattr(wet, band)(500.0)) / float(getattr(dry, band)(500.0))
        assert ratio == pytest.approx(0.80, abs=0.01)


def test_haze_hides_from_the_eye_more_than_from_the_thermal_camera() -> None:
    air = Atmosphere("haze", 1500.0, **_DRY)
    assert float(air.lwir_transmission(300.0)) > 1.3 * float(air.eo_transmission(300.0))


@given(st.floats(0.3, 1.0), st.floats(400, 950), st.floats(258, 310))
def test_paint_and_every_ground_cross_twice_a_day(cloud: float, noon: float, air: float) -> None:
    heating = Heating(air, noon * cloud, cloud, 1.0)
    for ground in _GROUNDS:
        hours = crossover_hours(SURFACES[ground], SURFACES["metal"], heating)
        assert len(hours) == 2
        for hour in hours:
            warm = [surface_temperature_k(SURFACES[name], heating, hour) for name in (ground, "metal")]
            assert abs(warm[0] - warm[1]) < 0.01
        assert hours[0] < 8
        assert hours[1] > 13


def test_temperatures_peak_after_noon() -> None:
    heating = Heating(290.0, 800.0, 1.0, 1.0)
    for surface in SURFACES.values():
        hours = np.arange(0, 24, 0.25)
        peak = hours[np.argmax([surface_temperature_k(surface, heating, float(h)) for h in hours])]
        assert 12 <= peak <= 15.5


def test_thermal_noise_is_50_mk_and_the_pattern_stays_under_a_quarter_kelvin() -> None:
    sensor = LwirSensor.build(128, 160, np.random.default_rng(1))
    flat = np.full((128, 160), 300.0, np.float32)
    shots = np.stack([sensor.expose(flat, np.random.default_rng(k)) for k in range(20)]).astype(float)
    assert shots.std(axis=0).mean() / COUNTS_PER_KELVIN == pytest.approx(0.05, rel=0.05)
    assert np.abs(sensor.pattern_k).max() < 0.25
    assert shots.mean(axis=0).std() / COUNTS_PER_KELVIN > 0.03


def test_visible_noise_follows_the_photons() -> None:
    def relative_noise(electrons: float) -> float:
        frame = EoSensor(electrons, 1.0).expose(np.full((64, 64, 3), 0.5, np.float32), np.random.default_rng(0))
        linear = (frame.astype(float) / 255) ** 2.2
        return float(linear.std() / linear.mean())

    # Shot noise alone: 1 / sqrt(N), on 8-bit steps.
    assert relative_noise(6000.0) == pytest.approx(1 / math.sqrt(3000), rel=0.25)
    assert relative_noise(400.0) == pytest.approx(1 / math.sqrt(200), rel=0.25)


def test_blur_keeps_the_light() -> None:
    frame = np.zeros((9, 9), np.float32)
    frame[4, 4] = frame[0, 0] = 1.0
    assert blur(frame, 0.6).sum() == pytest.approx(2.0, rel=1e-5)
    assert blur(frame, 0.6)[4, 4] < 0.5
