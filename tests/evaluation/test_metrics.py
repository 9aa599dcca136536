"""The figures are COCO's, by an independent implementation, and what a hand count gives."""

from __future__ import annotations

import contextlib
import io
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.captures import CaptureSet, ObjectClass, TruthObject
from models.errors import DataError
from models.evaluation.average_precision import average_precision
from models.evaluation.coco import coco_annotations, coco_figures, coco_results
from models.evaluation.metrics import Evaluation, evaluate, recalculate
from models.heads import Detections
from models.records import plain, structured
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


def test_every_condition_has_the_figures_of_pycocotools_on_its_frames() -> None:
    captures = captures_of(120, 6)
    detections = detections_of(captures, 8)
    for part in evaluate(captures, detections, "m").conditions:
        inside = [i for i, c in enumerate(captures.captures) if c.conditions.get(part.axis) == part.category]
        expected = pycocotools_stats(captures.subset(inside), [detections[i] for i in inside])
        assert part.frames == len(inside)
        assert (part.ap, part.ap50, part.ap_small) == pytest.approx(tuple(expected[[0, 1, 3]]), abs=1e-6)


def plain_ap(evaluation: Evaluation, weights: np.ndarray) -> float:
    """Average precision by the book: one class, one detection, one recall level at a time."""
    classes = []
    for label in ObjectClass:
        total = sum(w * int((f.match.truth == label).sum()) for w, f in zip(weights, evaluation.frames, strict=True))
        if not total:
            continue
        rows = [
            (-score, w, outcome)
            for w, f in zip(weights, evaluation.frames, strict=True)
            for score, k, outcome in zip(f.match.scores, f.match.classes, f.match.outcome, strict=True)
            if k == label and outcome >= 0 and w
        ]
        hits = seen = 0.0
        curve = []
        for _, w, outcome in sorted(rows, key=lambda row: row[0]):
            seen += w
            hits += w * outcome
            curve.append((hits / total, hits / seen))
        levels = np.linspace(0, 1, 101)
        classes.append(np.mean([max((p for r, p in curve if r >= level), default=0) for level in levels]))
    return float(np.mean(classes))


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), frames=st.integers(2, 25), data=st.data())
def test_weighted_average_precision_is_that_by_the_book(seed: int, frames: int, data: st.DataObject) -> None:
    captures = captures_of(frames, seed)
    evaluation = evaluate(captures, detections_of(captures, seed + 1), "m")
    weights = np.array(data.draw(st.lists(st.integers(0, 4), min_size=frames, max_size=frames)), float)
    got = average_precision(evaluation.table, weights[None])[0]
    if any(len(f.match.truth) and w for f, w in zip(evaluation.frames, weights, strict=True)):
        assert got == pytest.approx(plain_ap(evaluation, weights), abs=1e-12)
    else:
        assert math.isnan(got)


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
    assert plain(Evaluation.load(tmp_path / "e.json")) == plain(result)


def test_no_objects_and_no_detections_are_figures_not_crashes() -> None:
    captures = captures_of(8)
    none = np.zeros(0, np.float32)
    nothing = [Detections(np.zeros((0, 4), np.float32), none, np.zeros(0, np.int64), none, none)] * 8
    assert evaluate(captures, nothing, "blind").ap50 == 0
    blank = CaptureSet("blank", tuple(replace(c, objects=()) for c in captures.captures), captures.frames)
    assert math.isnan(evaluate(blank, detections_of(captures), "m").ap50)


def test_a_real_set_with_three_classes_and_no_kinematics_is_evaluated() -> None:
    kept = {ObjectClass.PERSON, ObjectClass.BICYCLE, ObjectClass.CAR}
    captures = captures_of(80, 2)
    described = tuple(
        replace(
            c,
            objects=tuple(replace(o, range_m=None, velocity_mps=None) for o in c.objects if o.object_class in kept),
        )
        for c in captures.captures
    )
    detections = detections_of(captures)
    captures = CaptureSet("thermal", described, captures.frames)
    result = evaluate(captures, detections, "m")
    expected = pycocotools_stats(captures, detections)
    assert (result.ap50, result.ap) == pytest.approx((expected[1], expected[0]), abs=1e-6)
    assert math.isnan(result.whole.range_error)
    assert math.isnan(result.whole.velocity_error_mps)
    assert plain(structured(Evaluation, plain(result))) == plain(result)


def test_a_set_whose_objects_are_all_ignored_has_no_figures() -> None:
    captures = captures_of(12)
    ignored = tuple(replace(c, objects=tuple(replace(o, ignore=True) for o in c.objects)) for c in captures.captures)
    result = evaluate(CaptureSet("ignored", ignored, captures.frames), detections_of(captures), "m")
    assert result.whole.objects == 0
    assert math.isnan(result.ap50)
    assert math.isnan(result.ap)


def test_figures_come_out_the_same_from_the_records_alone(tmp_path: Path) -> None:
    captures = captures_of(40, 5)
    result = evaluate(captures, detections_of(captures), "m")
    result.save(tmp_path / "e.json")
    assert plain(recalculate(Evaluation.load(tmp_path / "e.json"))) == plain(result)


def test_recall_is_read_where_at_most_one_false_alarm_a_frame_is_raised() -> None:
    captures = captures_of(60, 4)
    result = evaluate(captures, detections_of(captures), "m")
    alarms = sum(int(((f.match.outcome == 0) & (f.match.scores >= result.score)).sum()) for f in result.frames)
    assert alarms <= len(captures)
    assert alarms > 0.9 * len(captures)
    assert result.whole.objects * (1 - result.whole.recall) == pytest.approx(sum(len(f.missed) for f in result.frames))


def test_a_class_that_nobody_knows_is_named() -> None:
    captures = captures_of(4, seed=3)
    detections = detections_of(captures)
    detections[1].classes[:1] = 17
    with pytest.raises(DataError, match="f1"):
        evaluate(captures, detections, "m")


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 1}', '{"schema": 2}', '{"schema": 2, "model": 3, "slices": 1}'])
def test_a_file_that_is_no_evaluation_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "e.json").write_text(text)
    with pytest.raises(DataError) as caught:
        Evaluation.load(tmp_path / "e.json")
    assert "\n" not in str(caught.value)


def test_judging_needs_neither_tensorflow_nor_the_coco_library() -> None:
    code = (
        "import sys, models.evaluation.gate, models.evaluation.cells, models.evaluation.predict;"
        "print(sorted({'tensorflow', 'keras', 'faster_coco_eval', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


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
