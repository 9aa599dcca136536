"""The simulation against the runtime, and that what variants share is computed once."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_bridge.device.runtime import LiteRt
from models.quant.feeds import dequantized, quantized
from models.quant.plan import Precision, PrecisionPlan, Rule
from models.quant.produce import produce
from models.sensitivity.groups import groups_of
from models.sensitivity.losses import Reference
from models.sensitivity.race import measure
from models.sensitivity.screen import attention_entropy, screen
from models.sensitivity.study import simulation_of
from models.sensitivity.sweep import rank_correlation
from models.sensitivity.tasks import LocalExecutor, Variant
from tests.sensitivity.small_study import study

FP32, INT8, INT16 = Precision.FP32, Precision.INT8, Precision.INT16


def _feed(frames=range(4)):
    return study().pools["validation"].feed(list(frames))


def _alone(precision: Precision) -> dict[str, Variant]:
    return {group.name: Variant.of(FP32, {group.name: precision}) for group in study().groups}


def test_in_float_it_is_the_graph_that_litert_runs() -> None:
    simulator = simulation_of(study())
    found = simulator.run(_feed(), [study().assignment(FP32, {})])[0]
    session = LiteRt().load(study().float_tflite)
    for row in range(4):
        expected = session.run({name: value[row : row + 1] for name, value in _feed().items()})
        for name, value in expected.items():
            np.testing.assert_allclose(found[name][row : row + 1], value, atol=2e-4)


@pytest.mark.parametrize("group", ["eo_stem", "lwir_8_res1", "fusion_8_eo_logits", "fusion_4_half", "neck_8", "box_4"])
@pytest.mark.parametrize("precision", [INT8, INT16])
def test_one_group_alone_costs_what_the_real_graph_with_it_alone_costs(group: str, precision: Precision) -> None:
    simulator = simulation_of(study())
    layers = next(g.layers for g in study().groups if g.name == group)
    plan = PrecisionPlan(FP32, tuple(Rule(layer, precision) for layer in layers))
    session = LiteRt().load(produce(study().float_tflite, plan, study().ranges))
    feed = _feed()
    plain, changed = simulator.run(feed, [study().assignment(FP32, {}), study().assignment(FP32, {group: precision})])
    real = [
        dequantized(
            session.run(quantized({n: v[row : row + 1] for n, v in feed.items()}, session.graph)), session.graph
        )
        for row in range(4)
    ]
    reference = Reference(plain)
    simulated = reference.divergence(changed).mean()
    actual = reference.divergence({name: np.concatenate([one[name] for one in real]) for name in real[0]}).mean()
    assert simulated == pytest.approx(actual, rel=0.15)


def test_equal_variants_cost_one_and_a_late_change_costs_only_what_follows_it() -> None:
    simulator = simulation_of(study())

    def work(*changes: dict[str, Precision]) -> int:
        simulator.macs_done = 0
        simulator.run(_feed(), [study().assignment(FP32, change) for change in changes])
        return simulator.macs_done

    once = work({})
    assert work({}, {}, {}) == once == 4 * simulator.graph.macs
    assert work({}, {"cls_8": INT8}) < 1.02 * once
    eo, lwir = (sum(g.macs for g in study().groups if g.block == band) for band in ("eo", "lwir"))
    assert work({}, {"lwir_stem": INT8}) <= 2 * once - 4 * eo  # the other encoder is not its business
    assert lwir > 0


def test_a_variant_gives_the_same_alone_and_among_others() -> None:
    simulator = simulation_of(study())
    wanted = study().assignment(INT8, {"fusion_8_half": FP32})
    among = [study().assignment(FP32, {}), wanted, study().assignment(INT16, {})]
    alone, together = simulator.run(_feed(), [wanted])[0], simulator.run(_feed(), among)[1]
    for name, value in alone.items():
        np.testing.assert_allclose(value, together[name], atol=1e-4)


def test_each_operation_is_in_exactly_one_group_and_each_group_gives_one_tensor() -> None:
    graph = simulation_of(study()).graph
    groups = groups_of(graph)
    assert sorted(index for group in groups for index in group.ops) == list(range(len(graph.ops)))
    assert len({group.name for group in groups}) == len(groups) >= 40
    inside = {index: group.name for group in groups for index in group.ops}
    made = {op.outputs[0]: op.index for op in graph.ops}
    for op in graph.ops:
        for tensor in op.inputs:
            if tensor in made and inside[made[tensor]] != inside[op.index]:
                assert (tensor,) in {group.tensors for group in groups}


def test_the_screen_ranks_groups_as_measuring_them_does() -> None:
    variants = _alone(INT8)
    measured = measure(study(), "validation", list(variants.values()), LocalExecutor(), frames=range(12))
    screened = screen(study(), "validation", range(12), (INT8,))[INT8]
    direct = [np.nanmean(measured[variant].divergence) for variant in variants.values()]
    assert rank_correlation([screened[name].mean() for name in variants], direct) > 0.9


def test_attention_entropy_lies_between_one_key_and_all() -> None:
    found = attention_entropy(study(), "validation", range(4))
    assert len(found) == 6
    assert all(((values >= 0) & (values <= 1 + 1e-6)).all() for values in found.values())
