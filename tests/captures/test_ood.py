"""Scenes out of distribution: what each kind does to the frames, and that no other set changes by them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from models.captures import CaptureSet
from models.curation import POOLS, Pool
from models.scenes import SceneSpec, generate
from models.scenes.atmosphere import Atmosphere
from models.scenes.ood import WEATHER, Ood, air_of, degrade

_EO = np.random.default_rng(1).integers(0, 256, (96, 128, 3), dtype=np.uint8)
_LWIR = (29_300 + 300 * np.random.default_rng(2).standard_normal((96, 128))).astype(np.uint16)


def _degraded(kind: Ood) -> tuple[np.ndarray, np.ndarray]:
    return degrade(kind, _EO.copy(), _LWIR.copy(), np.random.default_rng(3))


@pytest.fixture(scope="module")
def scenes() -> CaptureSet:
    return generate(SceneSpec(1, 4 * len(Ood), name="ood", ood=True), workers=1)


def test_scenes_take_turns_and_each_has_objects_to_find(scenes):
    kinds = Counter(dict(capture.conditions.items)["ood"] for capture in scenes.captures)
    assert kinds == {str(kind): 4 for kind in Ood}
    found = Counter(
        dict(capture.conditions.items)["ood"]
        for capture in scenes.captures
        for item in capture.objects
        if not item.ignore
    )
    assert sum(found.values()) > 40


def test_weather_leaves_frames_and_faults_leave_the_air(scenes):
    for kind in WEATHER:
        eo, lwir = _degraded(kind)
        assert (eo == _EO).all()
        assert (lwir == _LWIR).all()
    for kind in set(Ood) - WEATHER:
        eo, lwir = _degraded(kind)
        assert not ((eo == _EO).all() and (lwir == _LWIR).all()), kind
        with pytest.raises(KeyError):
            air_of(kind, 290.0, np.random.default_rng(1))


def test_eight_bits_over_80_k_leave_steps_of_31_counts():
    assert np.gcd.reduce(_degraded(Ood.FIXED_GAIN)[1].ravel().astype(int)) == 31


def test_raw_counts_have_a_quarter_of_the_contrast():
    raw = _degraded(Ood.RAW_COUNTS)[1]
    assert raw.std() == pytest.approx(_LWIR.std() / 4, rel=0.01)


def test_drift_shades_the_frame_and_keeps_its_middle():
    drifted = _degraded(Ood.DRIFT)[1].astype(float)
    difference = drifted - _LWIR
    assert abs(difference.mean()) < 30
    columns = difference.mean(axis=0)
    assert 10 < columns.std() < 300


def test_defocus_lowers_the_difference_of_neighbours():
    eo, lwir = _degraded(Ood.BLUR)
    for before, after in ((_EO, eo), (_LWIR, lwir)):
        steps = [np.abs(np.diff(frame.astype(float), axis=1)).mean() for frame in (before, after)]
        assert steps[1] < 0.5 * steps[0]


def test_one_row_in_25_is_stuck():
    dead = _degraded(Ood.DEAD_ROWS)[1]
    stuck = [row for row, frame in enumerate(dead) if len(set(frame)) == 1]
    assert len(stuck) == 4
    others = [row for row in range(len(dead)) if row not in stuck]
    assert (dead[others] == _LWIR[others]).all()


def test_a_lost_band_has_one_value():
    assert not _degraded(Ood.NO_EO)[0].any()
    assert len(np.unique(_degraded(Ood.NO_LWIR)[1])) == 1


def test_fog_stops_the_thermal_band_as_it_stops_light_and_haze_does_not():
    fog = Atmosphere("fog", 300.0, 0.0, 285.0, 0.9)
    haze = Atmosphere("haze", 300.0, 0.0, 285.0, 0.9)
    assert fog.lwir_extinction_per_m > fog.eo_extinction_per_m
    assert haze.lwir_extinction_per_m < 0.7 * haze.eo_extinction_per_m


def test_each_category_of_the_pools_for_verdicts_has_20_scenes():
    from models.scenes.place import draw_place
    from models.scenes.scene import scene_stream

    for pool in (Pool.CONDITIONS, Pool.OOD):
        [item] = [item for item in POOLS if item.pool is pool]
        spec = SceneSpec(1, item.count, hardness=item.hardness, name=pool, ood=item.ood)
        places = [draw_place(spec, scene, scene_stream(spec, scene)) for scene in range(spec.scenes)]
        scenes = Counter(axis for place in places for axis in place.conditions.items)
        assert min(scenes.values()) >= 20, scenes
