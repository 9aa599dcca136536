from __future__ import annotations

import itertools
import math
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.captures import AXES, CaptureSet, ObjectClass
from models.errors import DataError
from models.scenes import SceneSpec, contact_sheet, generate
from models.scenes.cycles import bicycle, motorcycle
from models.scenes.palette import draw_palette
from models.scenes.people import person
from models.scenes.place import ATMOSPHERES, BACKGROUNDS, THERMALS, Place, draw_place
from models.scenes.raster import rasterise
from models.scenes.solid import Pose, Solid
from models.scenes.vehicles import bus, car, truck

_SPEC = SceneSpec(seed=7, count=60, name="probe")


@pytest.fixture(scope="module")
def captures() -> CaptureSet:
    return generate(_SPEC)


@pytest.fixture(scope="module")
def hard() -> CaptureSet:
    return generate(replace(_SPEC, hardness=1.0, name="probe-hard"))


def test_equal_specs_give_equal_bytes_in_another_process(captures: CaptureSet) -> None:
    code = (
        "from models.scenes import SceneSpec, generate\n"
        "print(generate(SceneSpec(seed=7, count=60, name='probe')).digest)"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.strip() == captures.digest


def test_the_number_of_workers_does_not_change_a_byte() -> None:
    spec = replace(_SPEC, count=21)
    assert generate(spec, workers=3).digest == generate(spec, workers=1).digest


def test_another_seed_or_name_gives_other_scenes(captures: CaptureSet) -> None:
    for other in (replace(_SPEC, seed=8), replace(_SPEC, name="else")):
        made = generate(other)
        assert not {c.scene for c in made.captures} & {c.scene for c in captures.captures}
        assert not np.array_equal(made.frames.eo(0), captures.frames.eo(0))


def test_a_larger_set_starts_with_the_frames_of_the_smaller(captures: CaptureSet) -> None:
    small = generate(replace(_SPEC, count=12))
    assert small.captures == captures.captures[:12]
    assert np.array_equal(small.frames.lwir(11), captures.frames.lwir(11))


def test_stored_sets_come_back_equal(captures: CaptureSet, tmp_path: Path) -> None:
    captures.save(tmp_path / "set")
    assert CaptureSet.load(tmp_path / "set").digest == captures.digest


def test_every_condition_and_class_occurs(captures: CaptureSet, hard: CaptureSet) -> None:
    for axis, categories in zip(AXES, (BACKGROUNDS, ATMOSPHERES, THERMALS), strict=True):
        assert {c.conditions.get(axis) for made in (captures, hard) for c in made.captures} == set(categories)
    assert {o.object_class for c in captures.captures for o in c.objects} == set(ObjectClass)


def test_boxes_lie_in_the_frame_and_have_a_learnable_size(captures: CaptureSet) -> None:
    counts = Counter(len(c.objects) for c in captures.captures)
    assert max(counts) <= 5
    assert sum(n for k, n in counts.items() if k == 0) <= 3
    for item in (o for c in captures.captures for o in c.objects):
        x0, y0, x1, y1 = item.box
        assert 0 <= x0 < x1 <= 160
        assert 0 <= y0 < y1 <= 128
        assert max(x1 - x0, y1 - y0) <= 80
        assert item.ignore or min(x1 - x0, y1 - y0) >= 2


def test_the_radial_velocity_agrees_with_the_heading(captures: CaptureSet) -> None:
    for item in (o for c in captures.captures for o in c.objects):
        assert item.velocity_mps is not None
        assert item.aspect_deg is not None
        assert item.velocity_mps * math.cos(math.radians(item.aspect_deg)) >= -0.05
        assert abs(item.velocity_mps) < 40


def test_size_follows_the_range(captures: CaptureSet) -> None:
    people = [o for c in captures.captures for o in c.objects if o.object_class is ObjectClass.PERSON]
    whole = [o for o in people if o.occlusion < 0.03 and o.range_m and o.contrast == 1.0]
    metres = [(o.box[3] - o.box[1]) * (o.range_m or 0) * _SPEC.ifov_rad for o in whole]
    assert len(whole) > 5
    assert min(metres) > 1.0
    assert max(metres) < 2.6


def test_hard_sets_are_harder_by_physical_quantities(captures: CaptureSet, hard: CaptureSet) -> None:
    def objects(made: CaptureSet) -> list[tuple[float, float, float]]:
        items = [o for c in made.captures for o in c.objects]
        return [(math.prod((o.box[2] - o.box[0], o.box[3] - o.box[1])), o.contrast or 1.0, o.occlusion) for o in items]

    easy, difficult = np.array(objects(captures)), np.array(objects(hard))
    assert np.median(difficult[:, 0]) < 0.9 * np.median(easy[:, 0])
    assert difficult[:, 1].mean() < easy[:, 1].mean() - 0.05
    clear = [sum(c.conditions.get("atmosphere") == "clear" for c in made.captures) for made in (captures, hard)]
    assert clear[1] < clear[0]


def test_objects_differ_from_the_ground_in_at_least_one_band(captures: CaptureSet) -> None:
    weak = 0
    items = [(k, o) for k, c in enumerate(captures.captures) for o in c.objects if not o.ignore]
    for index, item in items:
        x0, y0, x1, y1 = (int(v) for v in item.box)
        contrast = []
        for frame in (captures.frames.eo(index), captures.frames.lwir(index)):
            assert frame is not None
            grey = frame.reshape(*frame.shape[:2], -1).mean(axis=2)
            around = grey[max(0, y0 - 5) : y1 + 5, max(0, x0 - 5) : x1 + 5]
            noise = max(np.abs(np.diff(around, axis=1)).mean(), 1e-6)
            contrast.append(np.abs(grey[y0:y1, x0:x1] - np.median(around)).mean() / noise)
        weak += max(contrast) < 1.0
    assert weak <= 0.05 * len(items)


def test_at_crossover_parked_paint_has_the_grounds_temperature() -> None:
    found = 0
    for scene in range(80):
        place = draw_place(_SPEC, scene, np.random.default_rng(scene))
        if place.thermal == "crossover":
            found += 1
            assert abs(place.surface_k("metal") - place.ground_k) <= 0.5
    assert found > 8


def _sprite_of(solid: Solid, aspect: float, kind: ObjectClass, place: Place) -> np.ndarray:
    rng = np.random.default_rng(0)
    palette = draw_palette(kind, place, np.full(3, 0.2, np.float32), True, 1.0, rng)
    pose = Pose(aspect, 0.1, (0.5, 0.5, math.sqrt(0.5)))
    return rasterise(solid, pose, palette, (50.0, 50.0), 8.0, 0.5).opacity


@pytest.mark.parametrize("kind", [ObjectClass.CAR, ObjectClass.TRUCK, ObjectClass.BUS])
def test_vehicles_are_long_from_the_side_and_narrow_from_behind(kind: ObjectClass) -> None:
    place = draw_place(_SPEC, 0, np.random.default_rng(0))
    make = {ObjectClass.CAR: car, ObjectClass.TRUCK: truck, ObjectClass.BUS: bus}[kind]
    side, rear = (
        _sprite_of(make(np.random.default_rng(3)), aspect, kind, place).max(axis=0) for aspect in (math.pi / 2, 0.0)
    )
    assert (side > 0.5).sum() > 1.8 * (rear > 0.5).sum()


def test_silhouettes_tell_the_classes_apart() -> None:
    place = draw_place(_SPEC, 0, np.random.default_rng(0))
    rng = np.random.default_rng(5)
    solids = {
        ObjectClass.PERSON: person(rng, 1.4),
        ObjectClass.BICYCLE: bicycle(rng, ridden=True),
        ObjectClass.MOTORCYCLE: motorcycle(rng, ridden=True),
        ObjectClass.CAR: car(rng),
        ObjectClass.TRUCK: truck(rng),
        ObjectClass.BUS: bus(rng),
    }
    shapes = {}
    for kind, solid in solids.items():
        opacity = _sprite_of(solid, math.pi / 2, kind, place)
        rows, columns = np.nonzero(opacity > 0.5)
        height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
        shapes[kind] = (width / 8, height / 8, (opacity > 0.5).sum() / (width * height))
    assert shapes[ObjectClass.PERSON][0] < 1.2 < shapes[ObjectClass.BICYCLE][0] < 2.2
    assert shapes[ObjectClass.BICYCLE][2] < shapes[ObjectClass.MOTORCYCLE][2]
    assert shapes[ObjectClass.MOTORCYCLE][0] < 3 < shapes[ObjectClass.CAR][0] < 5 < shapes[ObjectClass.TRUCK][0]
    assert shapes[ObjectClass.TRUCK][0] < shapes[ObjectClass.BUS][0]


@pytest.mark.parametrize("wrong", [{"count": 0}, {"width": 8}, {"hardness": 1.5}, {"seed": -1}])
def test_an_impossible_request_is_refused_in_one_line(wrong: dict[str, float]) -> None:
    with pytest.raises(DataError) as error:
        SceneSpec(**{"seed": 1, "count": 4, **wrong})  # type: ignore[arg-type]
    assert "\n" not in str(error.value)


def test_progress_reaches_the_end() -> None:
    seen: list[tuple[int, int]] = []
    generate(SceneSpec(1, 10), progress=lambda done, total: seen.append((done, total)), workers=1)
    assert seen[-1] == (10, 10)
    assert all(a[0] <= b[0] for a, b in itertools.pairwise(seen))


def test_a_sheet_shows_both_bands_of_every_pair(captures: CaptureSet, tmp_path: Path) -> None:
    from PIL import Image

    contact_sheet(captures.subset(range(4)), tmp_path / "sheet.png", columns=2, tile_width=160)
    with Image.open(tmp_path / "sheet.png") as page:
        assert page.size == (2 * 166, 2 * (2 * 128 + 14 + 6))
