"""The figures are COCO's, by an independent implementation, and what a hand count gives."""

from __future__ import annotations

import contextlib
import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.captures import CaptureSet, ObjectClass, TruthObject
from models.errors import DataError
from models.evaluation.coco import coco_annotations, coco_figures, coco_results
from models.evaluation.metrics import Evaluation, evaluate
from models.evaluation.precision import average_precision
from models.heads import Detections
from tests.evaluation.synthetic import captures_of, detections_of


def pycocotools_stats(captures: CaptureSet, detections: list[Detections]) -> np.ndarray:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = coco_annotations(captures)
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(coco_results(detections)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


@pytest.mark.parametrize("seed", range(4))
def test_ap_and_ap50_are_those_of_pycocotools(seed: int) -> None:
    captures = captures_of(120, seed)
    detections = detections_of(captures, seed + 100)
    expected = pycocotools_stats(captures, detections)
    figures = coco_figures(captures, detections)
    evaluation = evaluate(captures, detections, "m")
    assert figures.ap == pytest.approx(expected[0], abs=1e-6)
    assert figures.ap50 == pytest.approx(expected[1], abs=1e-6)
    assert figures.ap_small == pytest.approx(expected[3], abs=1e-6)
    assert evaluation.ap50 == pytest.approx(expected[1], abs=1e-6)


def test_a_frame_counted_twice_weighs_as_two_equal_frames() -> None:
    captures = captures_of(40)
    detections = detections_of(captures)
    twice = list(range(40)) + [7] * 3
    weights = np.ones((1, 40))
    weights[0, 7] = 4
    weighted = average_precision(evaluate(captures, detections, "m").table, weights)[0]
    repeated = evaluate(captures.subset(twice), [detections[i] for i in twice], "m").ap50
    # Equal scores of the repeated frame are read one by one there and at once here.
    assert weighted == pytest.approx(repeated, abs=5e-3)


def test_a_perfect_model_has_every_figure_perfect() -> None:
    captures = captures_of(30, ignore_share=0)
    boxes = [np.array([o.box for o in c.objects], np.float32).reshape(-1, 4) for c in captures.captures]
    perfect = [
        Detections(
            box,
            np.ones(len(box), np.float32),
            np.array([int(o.object_class) for o in c.objects], np.int64),
            np.array([o.range_m for o in c.objects], np.float32),
            np.array([o.velocity_mps for o in c.objects], np.float32),
        )
        for c, box in zip(captures.captures, boxes, strict=True)
    ]
    result = evaluate(captures, perfect, "perfect")
    assert result.ap50 == result.ap == result.whole.recall == 1
    assert result.whole.range_error < 1e-6
    assert result.whole.velocity_error_mps < 1e-5
    assert not result.worst()


def test_kinematic_errors_are_those_that_were_put_in() -> None:
    captures = captures_of(60, ignore_share=0)
    result = evaluate(captures, detections_of(captures, jitter=0.1), "m")
    assert result.whole.range_error == pytest.approx(0.1, abs=1e-4)
    assert result.whole.velocity_error_mps == pytest.approx(1.0, abs=1e-4)


def test_an_ignored_object_is_neither_missed_nor_a_false_alarm() -> None:
    box = (10.0, 10.0, 30.0, 30.0)
    captures = captures_of(1)
    only_ignored = TruthObject(ObjectClass.CAR, box, ignore=True)
    real = TruthObject(ObjectClass.CAR, (60.0, 60.0, 90.0, 90.0))
    described = replace(captures.captures[0], objects=(only_ignored, real))
    captures = CaptureSet("s", (described,), captures.frames)
    both = np.array([box, real.box], np.float32)
    zeros = np.zeros(2, np.float32)
    seen = Detections(both, np.array([0.9, 0.8], np.float32), np.full(2, 3, np.int64), zeros, zeros)
    result = evaluate(captures, [seen], "m")
    assert result.ap50 == 1
    assert result.whole.objects == 1


def test_slices_cover_the_categories_and_add_up() -> None:
    captures = captures_of(60)
    result = evaluate(captures, detections_of(captures), "m")
    assert [(s.axis, s.category) for s in result.conditions] == [
        ("thermal", "crossover"), ("thermal", "day"), ("thermal", "night"),
    ]  # fmt: skip
    assert sum(s.objects for s in result.conditions) == result.whole.objects


def test_an_evaluation_survives_its_file(tmp_path: Path) -> None:
    captures = captures_of(20)
    result = evaluate(captures, detections_of(captures), "m", model_digest="ab")
    result.save(tmp_path / "e.json")
    assert Evaluation.load(tmp_path / "e.json").to_json() == result.to_json()


def test_no_objects_and_no_detections_are_figures_not_crashes() -> None:
    captures = captures_of(8)
    none = np.zeros(0, np.float32)
    nothing = [Detections(np.zeros((0, 4), np.float32), none, np.zeros(0, np.int64), none, none)] * 8
    assert evaluate(captures, nothing, "blind").ap50 == 0
    blank = CaptureSet("blank", tuple(replace(c, objects=()) for c in captures.captures), captures.frames)
    assert math.isnan(evaluate(blank, detections_of(captures), "m").ap50)


def test_a_score_that_is_not_a_number_is_named() -> None:
    captures = captures_of(4, seed=3)
    detections = detections_of(captures)
    detections[2].scores[:] = np.nan
    with pytest.raises(DataError, match="f2"):
        evaluate(captures, detections, "m")


def test_a_wrong_number_of_frames_is_refused() -> None:
    captures = captures_of(4)
    with pytest.raises(DataError, match="3 frames of detections for the 4"):
        evaluate(captures, detections_of(captures)[:3], "m")
