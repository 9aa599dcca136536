from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from models.captures import CaptureSet
from models.curation import MiningPolicy, MiningRecord, failures, mine
from models.curation.mining_record import Arm
from models.errors import DataError
from models.evaluation.metrics import Evaluation, evaluate
from tests.evaluation.synthetic import captures_of, detections_of

_POLICY = MiningPolicy(count=40, random_fraction=0.25, per_scene=2, seed=5)


@pytest.fixture(scope="module")
def captures() -> CaptureSet:
    return captures_of(200, seed=3)


@pytest.fixture(scope="module")
def previous(captures: CaptureSet) -> list[Evaluation]:
    """Two versions that miss two fifths of the objects each, mostly other ones."""
    return [
        evaluate(captures, detections_of(captures, seed, recall=0.6), f"v{seed}", model_digest=f"{seed:064x}")
        for seed in (1, 2)
    ]


def test_mined_frames_failed_more_than_the_random_arm_and_the_rest(
    captures: CaptureSet, previous: list[Evaluation]
) -> None:
    mined = mine(captures, previous, _POLICY)
    arms = Counter(c.conditions.get("arm") for c in mined.captures.captures)
    assert arms == {"mined": 30, "random": 10}
    hard = [f for f in mined.record.frames if f.arm is Arm.MINED]
    others = {c.id for c in captures.captures} - {f.id for f in mined.record.frames}
    rates = [f.missed for f, c in zip(failures(previous), captures.captures, strict=True) if c.id in others]
    assert sum(f.missed for f in hard) / len(hard) > 2 * sum(rates) / len(rates)
    assert all(f.agreed > 0 for f in hard)


def test_the_random_arm_does_not_depend_on_what_failed(captures: CaptureSet, previous: list[Evaluation]) -> None:
    other = [
        evaluate(captures, detections_of(captures, seed, recall=0.4), f"w{seed}", model_digest=f"{seed:064x}")
        for seed in (8, 9)
    ]
    arms = [
        {f.id for f in mine(captures, models, _POLICY).record.frames if f.arm is Arm.RANDOM}
        for models in (previous, other)
    ]
    assert arms[0] == arms[1]
    assert len(arms[0]) == 10


def test_no_scene_gives_more_mined_frames_than_allowed(captures: CaptureSet, previous: list[Evaluation]) -> None:
    for most in (1, 3):
        mined = mine(captures, previous, replace(_POLICY, per_scene=most, count=50))
        arms = {f.id: f.arm for f in mined.record.frames}
        of_scene = Counter(c.scene for c in mined.captures.captures if arms[c.id] is Arm.MINED)
        assert max(of_scene.values()) == most


def test_the_rest_shares_no_scene_with_what_was_mined(captures: CaptureSet, previous: list[Evaluation]) -> None:
    mined = mine(captures, previous, replace(_POLICY, count=20))
    scenes = {c.scene for c in mined.captures.captures}
    rest = [captures.captures[i] for i in mined.rest]
    assert rest
    assert not scenes & {c.scene for c in rest}
    assert scenes | {c.scene for c in rest} == {c.scene for c in captures.captures}


def test_scenes_of_other_pools_are_left_alone(captures: CaptureSet, previous: list[Evaluation]) -> None:
    held = {c.scene for c in captures.captures[:100]}
    mined = mine(captures, previous, _POLICY, disjoint_from=held)
    assert not held & {c.scene for c in mined.captures.captures}


@pytest.mark.parametrize("role", ["candidate.tflite", "parent.tflite"])
def test_the_candidate_and_its_parent_may_not_choose_the_cases_they_are_judged_on(
    captures: CaptureSet, previous: list[Evaluation], role: str
) -> None:
    with pytest.raises(DataError, match=f"{role} is the earlier version v2"):
        mine(captures, previous, _POLICY, judged={previous[1].model_digest: role, "f" * 64: "other"})
    record = mine(captures, previous, _POLICY).record
    with pytest.raises(DataError, match="must not select"):
        record.check_judges({previous[0].model_digest: role})
    record.check_judges({"f" * 64: role})


def test_fewer_than_two_different_versions_are_refused(captures: CaptureSet, previous: list[Evaluation]) -> None:
    again = replace(previous[0], model="renamed")
    for models in ([previous[0]], [previous[0], again], [previous[0], again, previous[1]]):
        with pytest.raises(DataError, match="at least 2 different earlier versions"):
            mine(captures, models, _POLICY)
    with pytest.raises(DataError, match="has no model digest"):
        mine(captures, [previous[0], replace(previous[1], model_digest="")], _POLICY)


def test_evaluations_of_other_captures_are_refused(captures: CaptureSet, previous: list[Evaluation]) -> None:
    with pytest.raises(DataError, match="not evaluated on the same captures"):
        mine(captures, [previous[0], replace(previous[1], data_digest="0" * 64)], _POLICY)
    with pytest.raises(DataError, match="which is not"):
        mine(captures.subset(range(100)), previous, _POLICY)


def test_versions_that_fail_nowhere_leave_only_the_random_arm(captures: CaptureSet) -> None:
    perfect = [
        evaluate(captures, _without_alarms(captures), f"p{k}", model_digest=f"{k:064x}") for k in (1, 2)
    ]  # fmt: skip
    mined = mine(captures, perfect, _POLICY)
    assert {f.arm for f in mined.record.frames} == {Arm.RANDOM}
    with pytest.raises(DataError, match="no earlier version failed"):
        mine(captures, perfect, replace(_POLICY, random_fraction=0.0))


def _without_alarms(captures: CaptureSet) -> list:
    import numpy as np

    from models.heads import Detections

    found = []
    for capture in captures.captures:
        boxes = np.array([o.box for o in capture.objects], np.float32).reshape(-1, 4)
        labels = np.array([int(o.object_class) for o in capture.objects], np.int64)
        ones = np.ones(len(labels), np.float32)
        found.append(Detections(boxes, ones, labels, ones, ones))
    return found


def test_the_record_comes_back_and_damage_is_one_line(
    captures: CaptureSet, previous: list[Evaluation], tmp_path: Path
) -> None:
    record = mine(captures, previous, _POLICY).record
    record.save(tmp_path)
    assert MiningRecord.load(tmp_path) == record
    for text in ("", "[]", "{}", '{"schema": 9}', '{"schema": 1, "frames": [{}]}'):
        (tmp_path / "mining.json").write_text(text)
        with pytest.raises(DataError) as error:
            MiningRecord.load(tmp_path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("wrong", [{"count": 0}, {"random_fraction": 1.0}, {"per_scene": 0}, {"seed": -1}])
def test_an_impossible_policy_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(DataError, match="cannot mine"):
        MiningPolicy(**wrong)  # type: ignore[arg-type]
