"""The map of a graph that nobody here wrote: its parts from its structure, its loss from its outputs."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from benchmarks.architectures import float_graph, pictures
from benchmarks.requantize_loop import requantize_loop
from firmware_bridge.device.graph import Graph
from models.errors import RecipeError
from models.quant.calibrate import CalibrationMethod, calibrate
from models.quant.plan import Precision
from models.sensitivity.blocks import structural_blocks
from models.sensitivity.groups import groups_of, is_attention
from models.sensitivity.race import measure
from models.sensitivity.study import Study
from models.sensitivity.sweep import SweepSettings, rank_correlation, sweep
from models.sensitivity.tasks import LocalExecutor, Variant
from tests.sensitivity.small_study import float_graph as fusion_graph

FP32, INT8 = Precision.FP32, Precision.INT8


@cache
def _study() -> Study:
    graph = float_graph("vit")
    samples = pictures(Graph.parse(graph).inputs[0].shape, 12)
    return Study.of(graph, calibrate(graph, samples, CalibrationMethod.MINMAX), {"pictures": samples})


def test_attention_is_found_from_two_products_and_the_softmax_between() -> None:
    graph = _study().graph
    found = structural_blocks(graph)
    attention = {op.op for op in graph.ops if is_attention(found[op.index])}
    assert {"BATCH_MATMUL", "SOFTMAX", "FULLY_CONNECTED"} <= attention
    assert len({block for block in found if is_attention(block)}) == 2
    assert found[-1] == "head"
    assert "GELU" not in attention


def test_encoders_hang_on_one_input_and_heads_lead_to_some_outputs() -> None:
    graph = Graph.parse(fusion_graph())
    found = structural_blocks(graph)
    assert {"encoder_eo", "encoder_lwir", "head", "neck"} <= set(found)
    assert len({block for block in found if is_attention(block)}) == 6


def test_blocks_can_be_named_by_hand_and_a_name_that_fits_nothing_is_refused() -> None:
    graph = Graph.parse(fusion_graph())
    assert {g.block for g in groups_of(graph, [("mine", "eo_stem*")]) if g.name.startswith("eo_stem")} == {"mine"}
    with pytest.raises(RecipeError, match=r"'mine'.*'nothing_"):
        groups_of(graph, [("mine", "nothing_*")])


def test_a_map_needs_no_truth_and_no_heads_of_ours() -> None:
    found = sweep(_study(), LocalExecutor(), SweepSettings(leaders=3, screen_frames=6, share_frames=4))
    measured = [group for group in found.groups if group.measured]
    assert len(measured) == 3
    assert {"int8", "int16", "restored"} == set(measured[0].figures)
    assert found.shares is not None
    assert sum(block.share.value for block in found.shares.blocks) == pytest.approx(1.0, abs=1e-6)
    assert 0 < found.shares.attention.value < 1
    assert len(found.entropy) == 2


def test_groups_cost_what_real_graphs_with_them_alone_in_int8_cost() -> None:
    groups, frames = _study().groups[::5], list(range(4))
    alone = {group.name: Variant.of(FP32, {group.name: INT8}) for group in groups}
    held = measure(_study(), "pictures", list(alone.values()), LocalExecutor(), frames=frames)
    simulated = [float(np.nanmean(held[variant].divergence)) for variant in alone.values()]
    real = requantize_loop(_study(), "pictures", frames, groups)
    correlation = rank_correlation(simulated, real)
    assert correlation is not None
    assert correlation > 0.95
