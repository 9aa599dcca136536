from __future__ import annotations

import numpy as np
import pytest

from models.captures import Capture, CaptureSet, Conditions, ObjectClass, TruthObject
from models.curation import compare_activations, coverage, draw_calibration
from models.errors import DataError
from models.scenes import SceneSpec, generate
from tests.target.conftest import Builder

_RARE = {"day": 0.9, "night": 0.08, "crossover": 0.02}


def _field(count: int = 600, seed: int = 0) -> CaptureSet:
    """Captures as the field gives them: mostly by day."""
    rng = np.random.default_rng(seed)
    captures = []
    for k in range(count):
        conditions = Conditions((
            ("thermal", str(rng.choice(list(_RARE), p=list(_RARE.values())))), ("place", f"p{rng.integers(4)}"),
        ))  # fmt: skip
        kind = ObjectClass(int(rng.choice(6, p=[0.5, 0.02, 0.02, 0.4, 0.03, 0.03])))
        objects = (TruthObject(kind, (1.0, 1.0, 9.0, 9.0)),)
        captures.append(Capture(f"c{seed}-{k}", f"s{seed}-{k // 4}", 40, 32, conditions, objects))
    eo = rng.integers(0, 128, (count, 32, 40, 3)).astype(np.uint8)
    return CaptureSet.from_arrays("field", captures, eo, np.full((count, 32, 40), 29000, np.uint16))


@pytest.fixture(scope="module")
def field() -> CaptureSet:
    return _field()


def test_a_rare_condition_gets_its_equal_part_as_far_as_there_is_any(field: CaptureSet) -> None:
    drawn = coverage(draw_calibration(field, 96))
    counts = {(c.axis, c.category): c.calibration for c in drawn.categories}
    available = {(c.axis, c.category): c.calibration for c in coverage(field).categories}
    for category in _RARE:
        assert counts["thermal", category] >= min(96 // 3 - 2, available["thermal", category])
    assert max(counts["place", f"p{k}"] for k in range(4)) - min(counts["place", f"p{k}"] for k in range(4)) <= 4
    assert not drawn.thin


def test_a_random_draw_would_have_left_it_thin(field: CaptureSet) -> None:
    random = field.subset(np.random.default_rng(1).permutation(len(field))[:96].tolist())
    assert coverage(random).thin or coverage(random, field).missing


def test_draws_prefer_new_scenes_and_repeat_by_seed(field: CaptureSet) -> None:
    drawn = draw_calibration(field, 96, seed=4)
    assert len({c.scene for c in drawn.captures}) > 80
    assert drawn.digest == draw_calibration(field, 96, seed=4).digest
    assert drawn.digest != draw_calibration(field, 96, seed=5).digest
    assert len({c.id for c in drawn.captures}) == 96


def test_too_few_or_too_many_captures_are_refused(field: CaptureSet) -> None:
    with pytest.raises(DataError, match="cannot cover"):
        draw_calibration(field, 3)
    for count in (0, 601):
        with pytest.raises(DataError, match=f"cannot draw {count}"):
            draw_calibration(field, count)


def test_coverage_names_what_is_missing_thin_and_shared(field: CaptureSet) -> None:
    by_day = field.subset([i for i, c in enumerate(field.captures) if c.conditions.get("thermal") == "day"][:50])
    found = coverage(by_day, field)
    assert {(c.axis, c.category) for c in found.missing} >= {("thermal", "night"), ("thermal", "crossover")}
    assert all(0 < c.calibration < 8 for c in found.thin)
    assert set(found.shared_scenes) == {c.scene for c in by_day.captures}
    assert not coverage(field, _field(seed=9)).shared_scenes


def _graph() -> bytes:
    """A float graph of 1x1 convolutions: ``mean`` is the mean of the colours, ``double`` twice that, then a reshape."""
    b = Builder()
    eo, lwir = b.tensor("eo:0", "FLOAT32", (1, 32, 40, 3)), b.tensor("lwir:0", "FLOAT32", (1, 32, 40, 1))
    thirds = b.tensor("w", "FLOAT32", (1, 1, 1, 3), data=np.full((1, 1, 1, 3), 1 / 3, np.float32))
    two = b.tensor("two", "FLOAT32", (1, 1, 1, 1), data=np.full((1, 1, 1, 1), 2, np.float32))
    zero = b.tensor("b", "FLOAT32", (1,), data=np.zeros(1, np.float32))
    mean = b.tensor("net/mean_1/conv", "FLOAT32", (1, 32, 40, 1))
    double = b.tensor("net/double_1/conv", "FLOAT32", (1, 32, 40, 1))
    total = b.tensor("net/total_1/Add", "FLOAT32", (1, 32, 40, 1))
    bent = b.tensor("net/bent_1/Tanh", "FLOAT32", (1, 32, 40, 1))
    options = {"strideW": 1, "strideH": 1, "dilationWFactor": 1, "dilationHFactor": 1}
    b.op("CONV_2D", [eo, thirds, zero], [mean], "Conv2DOptions", **options)
    b.op("CONV_2D", [mean, two, zero], [double], "Conv2DOptions", **options)
    b.op("ADD", [double, lwir], [total], "AddOptions")
    b.op("TANH", [total], [bent])
    return b.finish({"eo": eo, "lwir": lwir}, {"bent": bent})


def _lit(values: list[int], thermal: list[str], seed: int = 0, name: str = "lit") -> CaptureSet:
    """Captures of grey noise around a level each, under a condition each, a scene each."""
    rng = np.random.default_rng(seed)
    captures = [
        Capture(f"{name}{k}", f"{name}-s{k}", 40, 32, Conditions((("thermal", condition),)), ())
        for k, condition in enumerate(thermal)
    ]
    eo = np.stack([np.clip(rng.normal(v, 10, (32, 40, 3)), 0, 255) for v in values]).astype(np.uint8)
    return CaptureSet.from_arrays(name, captures, eo, np.full((len(values), 32, 40), 29000, np.uint16))


_HALF = ["day", "night"] * 12


def test_equal_distributions_are_not_called_different() -> None:
    report = compare_activations(_graph(), _lit([80] * 24, _HALF), _lit([80] * 24, _HALF, seed=1, name="e"))
    assert [t.name for t in report.tensors] == ["mean", "double", "total"]
    assert (report.drifted, report.clipping, report.unstable, report.set_by_one) == ((), (), (), ())
    assert all(t.distance < 0.05 for t in report.tensors)


def test_a_shift_of_one_deviation_is_a_distance_of_one() -> None:
    calibration = _lit([80] * 24, _HALF)
    spread = float(np.stack([np.asarray(calibration.frames.eo(i)) for i in range(24)]).mean(axis=3).std())
    report = compare_activations(_graph(), calibration, _lit([round(80 + spread)] * 24, _HALF, seed=1, name="e"))
    assert report.tensors[0].distance == pytest.approx(round(spread) / spread, abs=0.05)
    assert {t.name for t in report.drifted} >= {"mean", "double"}


def test_values_beyond_the_calibrated_range_are_counted_as_clipped() -> None:
    report = compare_activations(
        _graph(), _lit([60] * 24, _HALF), _lit([60, 200] * 12, _HALF, seed=1, name="e")
    )  # fmt: skip
    assert report.clipping[0].clipped == pytest.approx(0.5, abs=0.02)


def test_a_range_that_one_condition_alone_sets_is_named() -> None:
    values = [200 if condition == "night" else 60 for condition in _HALF]
    report = compare_activations(_graph(), _lit(values, _HALF), _lit(values, _HALF, seed=1, name="e"))
    mean = report.tensors[0]
    assert mean.dominant is not None
    assert (mean.dominant.axis, mean.dominant.category) == ("thermal", "night")
    assert mean.dominant.fraction == pytest.approx(140 / 220, abs=0.05)


def test_a_range_that_one_capture_alone_sets_is_not_blamed_on_its_condition() -> None:
    values = [60] * 23 + [200]
    report = compare_activations(_graph(), _lit(values, _HALF), _lit([60] * 24, _HALF, seed=1, name="e"))
    assert report.tensors[0].dominant is not None
    assert (report.tensors[0].dominant.axis, report.tensors[0].dominant.category) == ("capture", "lit23")
    assert report.tensors[0].unstable


def test_a_quantized_graph_and_a_broken_one_are_refused(small_captures: CaptureSet) -> None:
    from pathlib import Path

    quantized = (Path(__file__).parents[1] / "hil/detector.tflite").read_bytes()
    with pytest.raises(DataError, match="quantized already"):
        compare_activations(quantized, small_captures, small_captures)
    with pytest.raises(DataError, match="cannot be read"):
        compare_activations(b"TFL3", small_captures, small_captures)


@pytest.fixture(scope="module")
def small_captures() -> CaptureSet:
    return generate(SceneSpec(1, 4))
