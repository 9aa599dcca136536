from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.captures import Capture, CaptureSet, Conditions, ObjectClass, TruthObject
from models.preprocess import (
    MISSING_VALUE,
    agc,
    batch,
    network_frames,
    network_truth,
    to_int8,
    to_unit,
)


class _ThermalOnly:
    def __init__(self, frame: NDArray[np.uint16]) -> None:
        self.frame = frame

    def eo(self, index: int) -> None:  # noqa: ARG002
        return None

    def lwir(self, index: int) -> NDArray[np.uint16]:  # noqa: ARG002
        return self.frame


def _thermal_set(height: int, width: int, box: tuple[float, float, float, float]) -> CaptureSet:
    counts = np.full((height, width), 29000, np.uint16)
    x0, y0, x1, y1 = (int(v) for v in box)
    counts[y0:y1, x0:x1] = 31000
    capture = Capture("a", "s", width, height, Conditions(), (TruthObject(ObjectClass.CAR, box),))
    return CaptureSet("t", (capture,), _ThermalOnly(counts))


def _scene(seed: int = 0) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).integers(28000, 31000, (64, 80)).astype(np.uint16)


@given(st.integers(0, 20000))
def test_agc_ignores_the_offset_of_the_counts(offset: int) -> None:
    assert np.array_equal(agc(_scene()), agc(_scene() + np.uint16(offset)))


def test_agc_uses_the_whole_range_of_a_busy_scene() -> None:
    view = agc(_scene())
    assert view.min() == 0
    assert view.max() == 255


def test_agc_does_not_amplify_the_noise_of_a_flat_scene() -> None:
    noise = np.random.default_rng(1).normal(29500, 5, (64, 80)).astype(np.uint16)
    assert agc(noise).astype(float).std() < 10


def test_agc_keeps_the_order_of_temperatures() -> None:
    counts = np.sort(_scene().ravel()).reshape(64, 80)
    assert (np.diff(agc(counts).ravel().astype(int)) >= 0).all()


def test_a_missing_band_is_zero_for_an_int8_graph() -> None:
    eo, _, _ = network_frames(_thermal_set(128, 160, (10, 10, 30, 30)), 0, 128, 160)
    assert (eo == MISSING_VALUE).all()
    assert (to_int8(eo) == 0).all()


@pytest.mark.parametrize(("height", "width"), [(512, 640), (300, 200), (128, 160), (64, 90)])
def test_the_letterboxed_box_still_frames_the_object(height: int, width: int) -> None:
    captures = _thermal_set(height, width, (0.25 * width, 0.5 * height, 0.5 * width, 0.75 * height))
    _, lwir, transform = network_frames(captures, 0, 128, 160)
    x0, y0, x1, y1 = network_truth(captures.captures[0], transform)[0].box
    inside = lwir[round(y0) + 2 : round(y1) - 2, round(x0) + 2 : round(x1) - 2]
    assert inside.min() > 200
    assert lwir[round(y0) - 4, round(x0) - 4] < 60
    back = transform.to_frame(np.array([[x0, y0, x1, y1]], np.float32))[0]
    assert np.allclose(back, captures.captures[0].objects[0].box, atol=1e-3)


def test_a_frame_of_the_networks_size_passes_unchanged() -> None:
    captures = _thermal_set(128, 160, (10, 10, 30, 30))
    _, lwir, transform = network_frames(captures, 0, 128, 160)
    counts = captures.frames.lwir(0)
    assert counts is not None
    assert (transform.scale, transform.offset_x, transform.offset_y) == (1.0, 0.0, 0.0)
    assert np.array_equal(lwir, agc(counts))


def test_batch_stacks_what_single_frames_give() -> None:
    captures = _thermal_set(100, 160, (10, 10, 30, 30))
    stacked = batch(captures, [0, 0], 128, 160)
    eo, lwir, transform = network_frames(captures, 0, 128, 160)
    assert stacked.eo.shape == (2, 128, 160, 3)
    assert stacked.lwir.shape == (2, 128, 160, 1)
    assert np.array_equal(stacked.eo[1], eo)
    assert np.array_equal(stacked.lwir[1, ..., 0], lwir)
    assert stacked.transforms == (transform, transform)


def test_both_number_formats_say_the_same_of_every_byte() -> None:
    values = np.arange(256, dtype=np.uint8)
    assert np.array_equal(to_int8(values).astype(int), values.astype(int) - 128)
    assert np.allclose(to_unit(values), (to_int8(values).astype(np.float32) + 128) / 255, atol=1e-7)
