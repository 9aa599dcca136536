"""Precision plans and ranges as files: what is read is what was written, and wrong files are named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import DataError, RecipeError
from models.quant import clipping
from models.quant.layer_names import names_of
from models.quant.plan import FILE, Precision, PrecisionPlan, Rule
from models.quant.ranges import Ranges, TensorRange

_RULES = st.lists(st.builds(Rule, st.text(min_size=1, max_size=12), st.sampled_from(Precision)), max_size=5)


@given(st.sampled_from(Precision), _RULES)
def test_a_plan_survives_its_json(default: Precision, rules: list[Rule]) -> None:
    plan = PrecisionPlan(default, tuple(rules), "x")
    again = FILE.from_json(FILE.to_json(plan))
    assert again == plan
    assert again.digest == plan.digest


def test_the_last_matching_rule_holds_and_the_default_fills_the_rest() -> None:
    plan = PrecisionPlan(Precision.INT8, (Rule("fusion*", Precision.INT16), Rule("fusion_q", Precision.FP32)), "three")
    assert plan.precision_of("stem") is Precision.INT8
    assert plan.precision_of("fusion_k") is Precision.INT16
    assert plan.precision_of("fusion_q") is Precision.FP32
    assert plan.precision_of("other", "fusion_k") is Precision.INT16


def test_the_models_own_name_in_a_path_does_not_bring_every_layer_under_a_rule() -> None:
    plan = PrecisionPlan(Precision.INT8, (Rule("fusion*", Precision.INT16),))
    assert plan.precision_of(*names_of("fusion_small_1/head_1/Relu6")) is Precision.INT8
    assert plan.precision_of(*names_of("fusion_small_1/fusion_8_eo_q_1/convolution")) is Precision.INT16
    by_path = PrecisionPlan(Precision.INT8, (Rule("*/head_1/*", Precision.INT16),))
    assert by_path.precision_of(*names_of("fusion_small_1/head_1/Relu6")) is Precision.INT16


def test_standard_plans_are_found_by_name_and_others_are_listed() -> None:
    assert PrecisionPlan.named("mixed").precision_of("fusion_8_eo_q") is Precision.INT16
    assert PrecisionPlan.named("mixed").precision_of("eo_stem") is Precision.INT8
    with pytest.raises(RecipeError, match="fp32, fp16, int8, int16, mixed"):
        PrecisionPlan.named("int4")


def test_plans_that_differ_have_different_digests() -> None:
    one = PrecisionPlan(Precision.INT8, (Rule("a", Precision.INT16),))
    assert one.digest != PrecisionPlan(Precision.INT8, (Rule("b", Precision.INT16),)).digest
    assert one.digest != PrecisionPlan(Precision.INT16, (Rule("a", Precision.INT16),)).digest


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"default": "int4"}, "int4.*supported are int8, int16, fp16, fp32"),
        ({"rules": []}, "default: is missing"),
        ({"default": "int8", "rule": []}, "unknown field rule; known are default, rules, name"),
        ({"default": "int8", "rules": {"a": "int8"}}, "rules.*not of the right type"),
        ({"default": "int8", "rules": [{"match": "a"}]}, r"rules\[0\].precision: is missing"),
        ({"default": "int8", "schema": 9}, "schema"),
        ([], "not a precision plan"),
    ],
)
def test_a_wrong_plan_is_refused_by_what_is_wrong(data: object, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        FILE.from_json(data)


def test_a_plans_file_is_read_as_written_and_a_broken_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    plan = PrecisionPlan(Precision.INT8, (Rule("fusion*", Precision.INT16),), "mixed")
    plan.save(path)
    assert PrecisionPlan.load(path) == plan
    path.write_text("{")
    with pytest.raises(RecipeError, match=r"plan\.json"):
        PrecisionPlan.load(path)


def test_ranges_survive_their_file_and_a_broken_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "ranges.json"
    ranges = Ranges({"a": TensorRange(-0.5, 1.25, -1.0, 2.0)}, "test", "abc")
    ranges.save(path)
    assert Ranges.load(path) == ranges
    assert Ranges.load(path).digest == ranges.digest
    path.write_text('{"schema": 1, "tensors": {"a": [1, 2]}}')
    with pytest.raises(DataError, match="ranges"):
        Ranges.load(path)


def test_a_layer_is_found_by_its_name_with_and_without_the_suffix_of_tracing() -> None:
    names = names_of("functional_1/eo_stem_act_1/Relu6;functional_1/eo_stem_1/convolution")
    assert {"eo_stem", "eo_stem_1", "eo_stem_act"} <= set(names)
    assert "functional_1" not in names
    assert "convolution" not in names


def test_an_outlier_is_clipped_by_least_error_where_it_is_rare_enough() -> None:
    values = np.abs(np.random.default_rng(0).normal(size=100_000))
    common, outlier = clipping.binned(values, 0.0, 40.0), clipping.binned(np.array([40.0]), 0.0, 40.0)
    low, high = clipping.least_error((common * 100 + outlier)[None], 0.0, 40.0)
    assert low == 0
    assert 2 < high < 12
    assert clipping.least_error((common // 100 + outlier)[None], 0.0, 40.0)[1] > 20


def test_the_worst_condition_keeps_the_range_that_the_average_would_clip() -> None:
    rng = np.random.default_rng(0)
    common = clipping.binned(np.abs(rng.normal(size=100_000)), 0.0, 20.0) * 10_000
    rare = clipping.binned(rng.uniform(10, 20, size=100), 0.0, 20.0)
    average = clipping.least_error((common + rare)[None], 0.0, 20.0)
    worst = clipping.least_error(np.stack([common, rare]), 0.0, 20.0)
    assert average[1] < 10
    assert worst[1] > 15


@given(st.floats(-100, 0, width=32), st.floats(0.0625, 100, width=32), st.integers(0, 2**16))
def test_chosen_ends_never_leave_the_extremes(low: float, high: float, seed: int) -> None:
    values = np.random.default_rng(seed).uniform(low, high, 500)
    counts = clipping.binned(values, low, high)
    for a, b in (clipping.least_error(counts[None], low, high), clipping.percentile(counts, low, high)):
        assert low - 1e-6 <= a <= b <= high + 1e-6
