"""The cost model against the published watts, and its rules one by one."""

from __future__ import annotations

import dataclasses

import pytest

from firmware_bridge.device.cost import cost
from firmware_bridge.device.profile import BoardProfile
from firmware_bridge.errors import InputError
from tests.target.synthetic_graph import graph_of_work

PROFILE = BoardProfile.load("ks100")
_BYTES = {"INT8": 1, "INT16": 2, "FLOAT32": 4}


def _reference_watts(backbone: str, attention: str) -> float:
    parts = []
    for name, dtype in (("backbone", backbone), ("attention", attention)):
        work = PROFILE.reference[name]
        spilled = getattr(work, f"spilled_elements_{dtype.lower()}")
        parts.append(("CONV_2D", dtype, {**dataclasses.asdict(work), "spilled": spilled}))
    return cost(graph_of_work(*parts), PROFILE).watts(60)


def test_the_reference_workload_takes_the_published_watts_within_two_per_cent() -> None:
    assert _reference_watts("INT8", "INT8") == pytest.approx(PROFILE.published_w["INT8"], rel=0.02)
    assert _reference_watts("INT8", "INT16") == pytest.approx(PROFILE.published_w["mixed"], rel=0.02)
    assert 40 < _reference_watts("FLOAT32", "FLOAT32") < 40.8


def test_the_reference_workload_in_mixed_precision_fits_the_budget_and_float_does_not() -> None:
    assert _reference_watts("INT8", "INT16") * 1e3 < PROFILE.budget_mw < _reference_watts("FLOAT32", "FLOAT32") * 1e3


def test_int16_macs_take_twice_the_time_and_energy_of_int8() -> None:
    eight, sixteen = (cost(graph_of_work(("CONV_2D", t, {"macs": 1e9})), PROFILE).ops[0] for t in ("INT8", "INT16"))
    fixed_us = PROFILE.npu_op_s * 1e6
    assert (sixteen.latency_us - fixed_us) == pytest.approx(2 * (eight.latency_us - fixed_us))
    assert sixteen.energy_uj == pytest.approx(2 * eight.energy_uj)


def test_a_transposition_is_slower_than_an_addition_of_as_many_elements() -> None:
    move, add = (cost(graph_of_work((op, "INT8", {"elements": 1e6})), PROFILE).ops[0] for op in ("TRANSPOSE", "ADD"))
    assert move.latency_us > 5 * add.latency_us


def test_an_operation_that_the_npu_lacks_falls_to_the_cpu_and_pays_the_handover() -> None:
    result = cost(graph_of_work(("CONV_2D", "INT8", {"macs": 10}), ("ARG_MAX", "INT8", {"elements": 10})), PROFILE)
    assert (result.npu_ops, result.cpu_ops) == (1, 1)
    assert result.ops[1].latency_us >= PROFILE.cpu_op_s * 1e6 > result.ops[0].latency_us


def test_only_tensors_over_half_the_sram_and_weights_cross_the_dram() -> None:
    half = PROFILE.sram_bytes // 2
    assert cost(graph_of_work(("ADD", "INT8", {"spilled": half})), PROFILE).ops[0].dram_bytes == 0
    assert cost(graph_of_work(("ADD", "INT8", {"spilled": half + 1})), PROFILE).ops[0].dram_bytes == half + 1
    assert cost(graph_of_work(("CONV_2D", "INT8", {"weight_bytes": 77})), PROFILE).ops[0].dram_bytes == 77


def test_the_total_is_the_sum_of_its_operations_and_watts_grow_with_the_rate() -> None:
    result = cost(graph_of_work(("CONV_2D", "INT8", {"macs": 1e8}), ("ADD", "INT16", {"elements": 1e6})), PROFILE)
    assert result.latency_ms == pytest.approx(sum(op.latency_us for op in result.ops) / 1e3)
    assert result.watts(0) == PROFILE.idle_mw / 1e3
    assert result.watts(60) == pytest.approx(result.watts(0) + 60 * result.energy_mj / 1e3)


def test_the_rails_add_up_to_the_total_power() -> None:
    assert sum(PROFILE.rail_mw(4100.0).values()) == pytest.approx(PROFILE.idle_mw + 4100.0)


def test_every_number_of_the_profile_states_its_source() -> None:
    assert len(PROFILE.constants) >= 30
    assert all(constant.source for constant in PROFILE.constants)


@pytest.mark.parametrize(
    ("cut", "told"),
    [
        ('idle_mw = { value = 1500, source = "assumed', 'idle_mw = { value = 1500, source = "", was = "assumed'),
        ("budget_mw = { value = 8000,", "budget_mw = { value = -1,"),
        ("share = 0.62", "share = 0.99"),
        ("window_ms =", "window_s ="),
        ('context = "Published', 'sentence = "Published'),
    ],
)
def test_a_wrong_profile_is_refused_by_name(cut: str, told: str) -> None:
    from importlib import resources

    text = resources.files("firmware_bridge.device.profiles").joinpath("ks100.toml").read_text()
    assert cut in text
    with pytest.raises(InputError, match=r"idle_mw|budget_mw|shares|window_ms|published.*context"):
        BoardProfile.parse(text.replace(cut, told), "test")


def test_an_unknown_board_names_the_known_ones() -> None:
    with pytest.raises(InputError, match="ks100"):
        BoardProfile.load("ks200")
