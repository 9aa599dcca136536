"""The gate passes what is not worse, fails what is, and says when it cannot tell."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.captures import CaptureSet
from models.errors import DataError, RecipeError
from models.evaluation.compare import compare
from models.evaluation.gate import GatePolicy, GateResult, GateVerdict, PairedEvaluations, judge, recompute
from models.evaluation.metrics import evaluate
from models.heads import Detections
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
    assert "frames would be needed" in result.reason
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


def set_verdict(evidence: dict[str, Any]) -> None:
    evidence["verdict"] = "PASS"


def set_drop(evidence: dict[str, Any]) -> None:
    evidence["rows"][0]["drop_points"] = 0.0


def set_margin(evidence: dict[str, Any]) -> None:
    evidence["policy"]["hard_margin_points"] = 90.0


def set_figure(evidence: dict[str, Any]) -> None:
    evidence["hard"]["candidate"]["slices"][0]["recall"] = 0.99


def set_match(evidence: dict[str, Any]) -> None:
    frames = evidence["hard"]["candidate"]["frames"]
    next(frame["match"] for frame in frames if 0 in frame["match"]["outcome"])["outcome"] = [1] * 4


def set_missed(evidence: dict[str, Any]) -> None:
    next(frame for frame in evidence["hard"]["candidate"]["frames"] if frame["missed"])["missed"] = []


def drop_frame(evidence: dict[str, Any]) -> None:
    for side in ("parent", "candidate"):
        evidence["hard"][side]["frames"].pop()


def lose_field(evidence: dict[str, Any]) -> None:
    del evidence["hard"]["parent"]["frames"][3]["match"]["scores"]


@pytest.mark.parametrize(
    "edit", [set_verdict, set_drop, set_margin, set_figure, set_match, set_missed, drop_frame, lose_field]
)
def test_edited_evidence_is_noticed(edit: Callable[[dict[str, Any]], None]) -> None:
    evidence = copy.deepcopy(judge(pair(60, 0.2), None, POLICY).evidence)
    recompute(evidence)
    edit(evidence)
    with pytest.raises(DataError) as caught:
        recompute(evidence)
    assert "\n" not in str(caught.value)


def test_a_blind_parent_lets_nothing_pass() -> None:
    captures = captures_of(80)
    blind = evaluate(captures, without(detections_of(captures), 1.0), "untrained")
    result = judge(PairedEvaluations(blind, blind), None, POLICY)
    assert result.verdict is GateVerdict.INCONCLUSIVE
    assert "too low for a comparison" in result.reason


def test_one_scene_alone_has_no_bounds_and_still_gives_evidence(tmp_path: Path) -> None:
    result = judge(pair(4, 0.3), None, POLICY)
    assert result.verdict is GateVerdict.INCONCLUSIVE
    result.save(tmp_path / "gate.json")
    assert GateResult.load(tmp_path / "gate.json").digest == result.digest


def test_the_two_sets_must_be_of_the_same_models() -> None:
    captures, other = captures_of(60), captures_of(60, 1)
    parent = evaluate(captures, detections_of(captures), "FP32", model_digest="aa")
    candidate = evaluate(captures, detections_of(captures, 5), "INT8", model_digest="bb")
    stranger = evaluate(other, detections_of(other), "INT8", model_digest="cc")
    with pytest.raises(DataError, match="another model"):
        judge(
            PairedEvaluations(parent, candidate),
            PairedEvaluations(replace(stranger, model_digest="aa"), stranger),
            POLICY,
        )


def repeated(captures: CaptureSet, detections: list[Detections], times: int) -> tuple[CaptureSet, list[Detections]]:
    """The same scenes again and again under other names: the drop stays, the bounds narrow."""
    chosen = captures.subset([i for _ in range(times) for i in range(len(captures))])
    renamed = tuple(
        replace(c, id=f"{c.id}.{i}", scene=f"{c.scene}.{i // len(captures)}") for i, c in enumerate(chosen.captures)
    )
    return CaptureSet(captures.name, renamed, chosen.frames), detections * times


def test_the_frames_said_to_settle_it_settle_it_if_the_drop_stays() -> None:
    captures = captures_of(80, 3, ignore_share=0)
    models = detections_of(captures), detections_of(captures, seed=5)
    policy = GatePolicy(power=0.5)  # the bound that just touches the margin

    def row_of(times: int) -> tuple[GateVerdict, int | None]:
        several = [repeated(captures, model, times) for model in models]
        both = PairedEvaluations(*(evaluate(c, d, "m") for c, d in several))
        row = judge(both, None, policy).rows[0]
        return row.verdict, row.frames_needed

    verdict, needed = row_of(1)
    assert verdict is GateVerdict.INCONCLUSIVE
    assert needed is not None
    assert row_of(max(1, int(0.6 * needed / 80)))[0] is GateVerdict.INCONCLUSIVE
    assert row_of(int(1.4 * needed / 80) + 1)[0] is not GateVerdict.INCONCLUSIVE


def test_a_higher_power_asks_for_more_frames() -> None:
    captures = captures_of(80, 3)
    both = PairedEvaluations(*(evaluate(captures, detections_of(captures, seed), "m") for seed in (1, 5)))
    asked = [judge(both, None, GatePolicy(power=power)).rows[0].frames_needed for power in (0.5, 0.8, 0.9)]
    assert asked == sorted(asked)
    assert asked[1] / asked[0] == pytest.approx(2.286, abs=0.01)  # (1 + 0.8416 / 1.6449)^2


def test_the_policy_in_the_documentation_is_the_default(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text()
    path = tmp_path / "policy.toml"
    path.write_text(text.split("```toml")[1].split("```")[0])
    assert GatePolicy.load(path) == GatePolicy()


def test_a_policy_with_former_names_of_fields_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("least_scenes = 30\nleast_parent_ap50 = 0.1\n")
    assert GatePolicy.load(path) == GatePolicy(min_scenes=30, min_parent_ap50=0.1)


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
        ("condition_margin_points = 0", "condition_margin_points"),
        ("min_scenes = true", "min_scenes"),
        ("=", "policy"),
    ],
)
def test_a_wrong_policy_is_one_line_that_names_the_field(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=named) as caught:
        GatePolicy.load(path)
    assert "\n" not in str(caught.value)
