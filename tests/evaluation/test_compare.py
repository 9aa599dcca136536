"""Bounds are reproducible and right; flips, cells and the worst frames are what a hand count gives."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.captures import CaptureSet, Conditions, ObjectClass, TruthObject
from models.errors import DataError, RecipeError
from models.evaluation.cells import CriticalCell, cell_scores, load_cells
from models.evaluation.compare import compare, scene_weights
from models.evaluation.explain import worst_frames
from models.evaluation.flips import flips
from models.evaluation.interval import bounds
from models.evaluation.metrics import evaluate
from models.heads import Detections
from tests.evaluation.synthetic import captures_of, detections_of, without


def test_the_same_seed_gives_the_same_bounds_and_another_seed_similar_ones() -> None:
    captures = captures_of(120)
    a, b = (evaluate(captures, detections_of(captures, seed), "m") for seed in (1, 2))
    first, again, other = compare(a, b, seed=1), compare(a, b, seed=1), compare(a, b, seed=2)
    assert first == again
    assert first[0].upper_points != other[0].upper_points
    assert first[0].upper_points == pytest.approx(other[0].upper_points, abs=0.6)


def test_the_resamples_are_these_for_ever() -> None:
    captures = captures_of(12)
    weights = scene_weights(evaluate(captures, detections_of(captures), "m"), 4, seed=7)
    # Three scenes of four frames; evidence of years ago must come out the same.
    assert weights[:, ::4].tolist() == [[0, 1, 2], [2, 0, 1], [1, 0, 2], [2, 1, 0]]
    assert (weights.sum(axis=1) == 12).all()


def test_frames_of_a_scene_are_drawn_together() -> None:
    captures = captures_of(40)
    weights = scene_weights(evaluate(captures, detections_of(captures), "m"), 200, seed=0)
    by_scene = weights.reshape(200, 10, 4)
    assert (by_scene == by_scene[:, :, :1]).all()
    assert weights.mean() == pytest.approx(1)


@settings(max_examples=15)
@given(seed=st.integers(0, 1000), frames=st.integers(4, 40))
def test_a_model_is_never_worse_than_itself(seed: int, frames: int) -> None:
    captures = captures_of(frames, seed)
    one = evaluate(captures, detections_of(captures, seed), "m")
    for difference in compare(one, one, resamples=100):
        if difference.objects and difference.scenes > 1:
            assert (difference.drop_points, difference.lower_points, difference.upper_points) == (0, 0, 0)
        assert difference.lost == difference.gained == 0


def test_the_bounds_of_a_mean_are_those_of_student() -> None:
    values = np.random.default_rng(0).normal(3, 2, 25)
    drawn = values[np.random.default_rng(1).integers(0, 25, (20_000, 25))].mean(axis=1)
    left_out = (values.sum() - values) / 24
    lower, upper = bounds(float(values.mean()), drawn, left_out, 0.95)
    half = 1.7109 * values.std(ddof=1) / 5  # t of 24 degrees
    assert (lower, upper) == pytest.approx((values.mean() - half, values.mean() + half), rel=0.06)


def test_the_bounds_of_a_skewed_figure_are_scipys_bca() -> None:
    from scipy.stats import bootstrap, t

    values = np.random.default_rng(3).exponential(1, 40)
    drawn = values[np.random.default_rng(1).integers(0, 40, (50_000, 40))].mean(axis=1)
    mean = float(values.mean())
    lower, upper = bounds(mean, drawn, (values.sum() - values) / 39, 0.95)
    oracle = bootstrap(
        (values,), np.mean, n_resamples=50_000, confidence_level=0.9, method="BCa", rng=np.random.default_rng(2)
    ).confidence_interval
    wider = t.ppf(0.95, 39) / 1.6448536 * math.sqrt(40 / 39)
    assert lower == pytest.approx(mean + wider * (oracle.low - mean), abs=4e-3)
    assert upper == pytest.approx(mean + wider * (oracle.high - mean), abs=4e-3)


def test_one_scene_has_no_bounds() -> None:
    assert bounds(1.0, np.ones(100), np.array([math.nan]), 0.95) == (-math.inf, math.inf)


def scene_of_two() -> tuple[CaptureSet, Detections]:
    """One frame: a near car and a far person at crossover, both found."""
    objects = (
        TruthObject(ObjectClass.CAR, (10.0, 10.0, 40.0, 30.0), range_m=60.0),
        TruthObject(ObjectClass.PERSON, (80.0, 80.0, 84.0, 90.0), range_m=200.0, occlusion=0.25),
        TruthObject(ObjectClass.BUS, (100.0, 10.0, 101.0, 11.0), ignore=True),
    )
    captures = captures_of(1)
    conditions = Conditions((("thermal", "crossover"), ("atmosphere", "haze")))
    captures = CaptureSet(
        "two", (replace(captures.captures[0], conditions=conditions, objects=objects),), captures.frames
    )
    boxes = np.array([item.box for item in objects[:2]], np.float32)
    zero = np.zeros(2, np.float32)
    return captures, Detections(boxes, np.array([0.9, 0.8], np.float32), np.array([3, 0], np.int64), zero, zero)


def only(seen: Detections, index: int) -> Detections:
    return Detections(*(part[index : index + 1] for part in (
        seen.boxes, seen.scores, seen.classes, seen.range_m, seen.velocity_mps)))  # fmt: skip


def test_flips_have_a_direction() -> None:
    captures, both = scene_of_two()
    parent = evaluate(captures, [only(both, 0)], "finds the car")
    candidate = evaluate(captures, [only(both, 1)], "finds the person")
    assert [(f.lost, f.gained) for f in flips(parent, candidate)] == [((0,), (1,))]
    whole = compare(parent, candidate, resamples=100)[0]
    assert (whole.lost, whole.gained, whole.flip_rate) == (1, 1, 1.0)


def test_the_worst_frames_say_what_was_missed_and_what_the_parent_finds() -> None:
    captures, both = scene_of_two()
    parent, candidate = evaluate(captures, [both], "a"), evaluate(captures, [only(both, 0)], "b")
    (frame,) = worst_frames(captures, candidate, parent)
    assert (frame.id, frame.objects, frame.false_alarms, frame.lost) == ("f0", 2, 0, 1)
    assert str(frame.missed[0]) == "person 4x10 px, 200 m, 25% hidden (the parent finds it)"
    assert worst_frames(captures, parent) == ()


def test_the_worst_frames_are_those_of_the_candidate() -> None:
    captures = captures_of(80)
    detections = detections_of(captures)
    parent, candidate = evaluate(captures, detections, "a"), evaluate(captures, without(detections, 0.3), "b")
    frames = worst_frames(captures, candidate, parent, count=5)
    assert len(frames) == 5
    assert [f.lost for f in frames] == sorted((f.lost for f in frames), reverse=True)
    with pytest.raises(DataError, match="other captures"):
        worst_frames(captures_of(80, 1), candidate)


def test_a_critical_cell_counts_its_own_objects() -> None:
    captures, both = scene_of_two()
    evaluation = evaluate(captures, [only(both, 0)], "m")
    small_person = CriticalCell("p", (("thermal", "crossover"),), ("person",), under_height_px=12)
    scores = cell_scores(
        captures, evaluation, [small_person, CriticalCell("all"), CriticalCell("night", (("thermal", "night"),)),
                               CriticalCell("far", over_range_m=100)],
    )  # fmt: skip
    assert [(s.frames, s.objects, s.found) for s in scores] == [(1, 1, 0), (1, 2, 1), (0, 0, 0), (1, 1, 0)]
    (missing_car,) = cell_scores(captures, evaluate(captures, [only(both, 1)], "m"), [small_person])
    assert (missing_car.objects, missing_car.found) == (1, 1)
    assert scores[0].low == 0
    assert scores[0].high == pytest.approx(0.7935, abs=1e-4)  # Wilson, 0 of 1
    assert math.isnan(scores[2].recall)


def test_cells_are_read_from_toml(tmp_path: Path) -> None:
    path = tmp_path / "cells.toml"
    path.write_text(
        '[[cell]]\nname = "p"\nclasses = ["person"]\nunder_height_px = 12\nconditions = { thermal = "crossover" }\n'
    )
    assert load_cells(path) == (CriticalCell("p", (("thermal", "crossover"),), ("person",), 12.0),)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("cell = 3", "tables"),
        ("[[cell]]\nclasses = []", "name"),
        ('[[cell]]\nname = "x"\nsize = 3', "size"),
        ('[[cell]]\nname = "x"\nclasses = ["tank"]', "tank"),
        ('[[cell]]\nname = "x"\nunder_height_px = "low"', "wrong type"),
        ('[[cell]]\nname = "x"\nconditions = 3', "wrong type"),
        ("[[", "is not a file of critical cells"),
    ],
)
def test_wrong_cells_are_one_line_that_names_the_fault(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "cells.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=named) as caught:
        load_cells(path)
    assert "\n" not in str(caught.value)
