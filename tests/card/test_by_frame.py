"""Classifiers by top-1 accuracy and raw outputs by SQNR: figures by hand, and the gate on two of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph, GraphTensor
from models.card import CardInput, ModelCard
from models.card.decodings import Raw
from models.errors import DataError
from models.evaluation.by_frame import evaluate_classes, evaluate_raw, with_one_class
from models.evaluation.class_scores import part_scores
from models.evaluation.compare import compare
from models.evaluation.evaluation import Evaluation, Metric
from models.evaluation.gate import GatePolicy, GateResult, GateVerdict, PairedEvaluations, judge
from models.heads import Detections
from tests.card.sky_captures import thermal_set


def _answer(label: int) -> Detections:
    nothing = np.full(1, np.nan, np.float32)
    return Detections(np.zeros((1, 4), np.float32), np.ones(1, np.float32), np.array([label]), nothing, nothing)


def test_top_1_is_the_share_of_frames_with_the_right_class_by_class_and_condition(tmp_path: Path) -> None:
    captures = with_one_class(thermal_set(30))  # every third frame shows two classes: 20 frames with a bird are left
    assert len(captures) == 20
    found = evaluate_classes(captures, [_answer(1 if i >= 5 else 2) for i in range(20)], "m")
    assert (found.metric, found.ap50, found.whole.objects) == (Metric.TOP_1, 0.75, 20)
    scores = {(s.axis, s.category): s for s in part_scores(found)}
    assert scores["class", "bird"].ap50 == 0.75
    near = [c.conditions.get("distance") == "near" for c in captures.captures]
    assert scores["distance", "near"].ap50 == pytest.approx(np.mean([i >= 5 for i, n in enumerate(near) if n]))
    assert scores["all", "all"].low < 0.75 < scores["all", "all"].high
    found.save(tmp_path / "e.json")
    assert Evaluation.load(tmp_path / "e.json").ap50 == 0.75


def test_the_gate_judges_two_classifiers(tmp_path: Path) -> None:
    captures = with_one_class(thermal_set(180))
    parent = evaluate_classes(captures, [_answer(1)] * 120, "float")
    same = evaluate_classes(captures, [_answer(1)] * 120, "int8")
    worse = evaluate_classes(captures, [_answer(1 if i % 4 else 0) for i in range(120)], "int4")
    assert judge(PairedEvaluations(parent, same), None, GatePolicy()).verdict is GateVerdict.PASS
    result = judge(PairedEvaluations(parent, worse), None, GatePolicy())
    assert result.verdict is GateVerdict.FAIL
    assert result.rows[0].difference.drop_points == pytest.approx(25)
    assert result.rows[0].difference.lost == 30
    result.save(tmp_path / "gate.json")
    assert GateResult.load(tmp_path / "gate.json").verdict is GateVerdict.FAIL


class _Noisy:
    """A graph whose output is its input, plus a constant error of one part in ``ratio``."""

    def __init__(self, error: float) -> None:
        tensor = GraphTensor("x", "float32", (1, 32, 48, 1))
        self.graph = Graph("", (tensor,), (replace(tensor, name="y"),), (tensor,), (), 0)
        self._error = error

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        return {"y": inputs["x"] + np.float32(self._error)}


CARD = ModelCard(
    classes=(), decoding=Raw(),
    inputs=(CardInput(name="x", band="lwir", height=32, width=48, colour="grey", agc="none"),),
)  # fmt: skip


def test_raw_outputs_are_judged_by_sqnr_against_the_float_graph() -> None:
    captures = thermal_set(6)
    found = evaluate_raw(captures, _Noisy(0.01), _Noisy(0.0), CARD, "int8")
    view = (np.asarray(captures.frames.lwir(0)) >> 8) / 255
    expected = 10 * math.log10(np.square(view - view.mean()).mean() / 0.01**2)
    assert found.frames[0].value == pytest.approx(expected, abs=0.01)
    assert 100 * found.ap50 == pytest.approx(np.mean([frame.value for frame in found.frames]))
    assert evaluate_raw(captures, _Noisy(0.0), _Noisy(0.0), CARD, "float").frames[0].value == 120
    finer = evaluate_raw(captures, _Noisy(0.005), _Noisy(0.0), CARD, "int16")
    assert compare(finer, found)[0].drop_points == pytest.approx(20 * math.log10(2), abs=0.01)  # in decibels


def test_evaluations_by_different_metrics_are_not_compared() -> None:
    captures = with_one_class(thermal_set(6))
    classes = evaluate_classes(captures, [_answer(1)] * 4, "classes")
    raw = evaluate_raw(captures, _Noisy(0.01), _Noisy(0.0), CARD, "raw")
    with pytest.raises(DataError, match="another metric"):
        compare(classes, raw)
