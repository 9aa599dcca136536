"""The gate passes what is not worse, fails what is, and says when it cannot tell."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from models.errors import DataError, RecipeError
from models.evaluation.compare import compare
from models.evaluation.gate import GatePolicy, GateResult, GateVerdict, PairedEvaluations, judge, recompute
from models.evaluation.metrics import evaluate
from tests.evaluation.synthetic import captures_of, detections_of, without

POLICY = GatePolicy(resamples=300)


def pair(frames: int, dropped: float, seed: int = 0) -> PairedEvaluations:
    captures = captures_of(frames, seed)
    parent = detections_of(captures)
    return PairedEvaluations(
        evaluate(captures, parent, "FP32"), evaluate(captures, without(parent, dropped) if dropped else parent, "INT8")
    )


def test_an_identical_model_passes() -> None:
    result = judge(pair(300, 0), None, POLICY)
    assert result.verdict is GateVerdict.PASS
    assert all(row.difference.drop_points == 0 for row in result.rows)


def test_a_model_that_loses_a_tenth_of_its_boxes_fails() -> None:
    result = judge(pair(400, 0.1), None, POLICY)
    assert result.verdict is GateVerdict.FAIL
    assert result.rows[0].difference.lower_points > POLICY.condition_margin_points


def test_twenty_frames_cannot_tell_and_the_gate_says_how_many_could() -> None:
    captures = captures_of(20)
    parent = detections_of(captures)
    candidate = detections_of(captures, seed=5)  # another model of the same quality
    result = judge(PairedEvaluations(evaluate(captures, parent, "a"), evaluate(captures, candidate, "b")), None, POLICY)
    assert result.verdict is GateVerdict.INCONCLUSIVE
    assert "frames would settle it" in result.reason
    assert any(row.frames_needed and row.frames_needed > 20 for row in result.rows)


def test_few_scenes_conclude_nothing_even_of_an_identical_model() -> None:
    assert judge(pair(20, 0), None, POLICY).verdict is GateVerdict.INCONCLUSIVE


def test_one_bad_category_fails_a_candidate_that_is_good_on_average() -> None:
    captures = captures_of(600, ignore_share=0)
    parent = detections_of(captures)
    candidate = [
        seen if capture.conditions.get("thermal") != "crossover" else without([seen], 0.3, index)[0]
        for index, (capture, seen) in enumerate(zip(captures.captures, parent, strict=True))
    ]
    both = PairedEvaluations(evaluate(captures, parent, "a"), evaluate(captures, candidate, "b"))
    result = judge(both, None, GatePolicy(resamples=300, hard_margin_points=20))
    failed = [row.difference.category for row in result.rows if row.verdict is GateVerdict.FAIL]
    assert failed == ["crossover"]
    assert result.verdict is GateVerdict.FAIL
    relaxed = judge(both, None, GatePolicy(resamples=300, hard_margin_points=20, conditions_required=False))
    assert relaxed.verdict is GateVerdict.PASS


def test_the_bounds_cover_the_true_drop_about_as_often_as_they_say() -> None:
    covered = 0
    for seed in range(30):
        captures = captures_of(80, seed)
        a, b = detections_of(captures, 2 * seed), detections_of(captures, 2 * seed + 1)
        difference = compare(evaluate(captures, a, "a"), evaluate(captures, b, "b"), resamples=200)[0]
        covered += difference.lower_points <= 0 <= difference.upper_points
    # 90 % two-sided of 30: fewer than 22 would happen once in four hundred such tests.
    assert covered >= 22


def test_evidence_can_be_recomputed_by_anyone(tmp_path: Path) -> None:
    result = judge(pair(60, 0.05), pair(60, 0.02, seed=4), POLICY)
    result.save(tmp_path / "gate.json")
    again = GateResult.load(tmp_path / "gate.json")
    assert again.verdict is result.verdict
    assert again.digest == result.digest


def test_edited_evidence_is_noticed() -> None:
    evidence = copy.deepcopy(judge(pair(60, 0.2), None, POLICY).evidence)
    evidence["verdict"] = "PASS"
    with pytest.raises(DataError, match="edited"):
        recompute(evidence)
    evidence = copy.deepcopy(judge(pair(60, 0.2), None, POLICY).evidence)
    evidence["rows"][0]["drop_points"] = 0.0
    with pytest.raises(DataError, match="edited"):
        recompute(evidence)


def test_models_judged_on_other_captures_are_not_compared() -> None:
    mixed = PairedEvaluations(pair(20, 0).parent, pair(20, 0, seed=9).candidate)
    with pytest.raises(DataError, match="not the same captures"):
        judge(mixed, None, POLICY)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("hard_margin = 5", "hard_margin"),
        ("resamples = 'many'", "resamples"),
        ("confidence = 1.5", "confidence"),
        ("=", "policy"),
    ],
)
def test_a_wrong_policy_is_one_line_that_names_the_field(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=named) as caught:
        GatePolicy.load(path)
    assert "\n" not in str(caught.value)
