"""The planner: its costs are the cost model's to the last digit, its optimum is the optimum, its refusals say why."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest

from firmware_bridge.device.cost import cost
from firmware_bridge.device.graph import Graph
from firmware_bridge.device.profile import BoardProfile
from models.errors import ModelsError
from models.planning.choose import InfeasibleError, best, cheaper_greedy, earned, front
from models.planning.cost_table import Boundary, CostTable, Price
from models.planning.loss_table import LossTable, PairTerm
from models.planning.milp import Budget, PrecisionMilp
from models.quant.plan import STANDARD_PLANS, Precision
from models.quant.produce import precisions, produce
from models.quant.retype import retyped
from tests.sensitivity.small_study import float_graph, study

FP32, INT8, INT16 = Precision.FP32, Precision.INT8, Precision.INT16
PROFILE = BoardProfile.load("ks100")


@pytest.fixture(scope="module")
def costs() -> CostTable:
    return CostTable.of(Graph.parse(float_graph()), PROFILE, allow_float=True)


def _losses(costs: CostTable, seed: int = 0) -> LossTable:
    random = np.random.default_rng(seed)
    rows = [{INT8: float(a), INT16: float(a * b), FP32: 0.0} for a, b in random.random((len(costs.groups), 2)) ** 2]
    column = ("validation", "all")
    return LossTable(tuple(g.name for g in costs.groups), (column,), {column: rows}, {column: rows})


@pytest.mark.parametrize("plan", ["int8", "mixed", "int16", "fp32"])
def test_a_retyped_graph_costs_what_the_produced_one_costs(plan: str, costs: CostTable) -> None:
    wanted = precisions(costs.graph, STANDARD_PLANS[plan])
    expected = cost(Graph.parse(produce(float_graph(), STANDARD_PLANS[plan], study().ranges)), PROFILE)
    found = cost(retyped(costs.graph, {i: p.op_dtype for i, p in wanted.items()}), PROFILE)
    assert found.energy_mj == pytest.approx(expected.energy_mj, rel=1e-9)
    assert found.latency_ms == pytest.approx(expected.latency_ms, rel=1e-9)
    assert sorted(item.op.type for item in found.ops) == sorted(item.op.type for item in expected.ops)


def test_groups_and_boundaries_add_up_to_the_cost_of_any_plan(costs: CostTable) -> None:
    random = np.random.default_rng(1)
    for _ in range(20):
        chosen = [legal[random.integers(len(legal))] for legal in costs.legal]
        parts = [costs.prices[g][p] for g, p in enumerate(chosen)]
        for boundary in costs.boundaries:
            reads = {chosen[r] for r in boundary.readers}
            widest = next(p for p in (INT16, INT8, FP32) if p in reads)
            written = widest if boundary.source < 0 else chosen[boundary.source]
            parts += [boundary.prices[written, read] for read in reads - {written}]
        whole = costs.of_plan(chosen)
        if all(p is FP32 for p in chosen):
            continue
        assert sum(p.energy_mj for p in parts) == pytest.approx(whole.energy_mj, rel=1e-9)
        assert sum(p.latency_ms for p in parts) == pytest.approx(whole.latency_ms, rel=1e-9)


def _tiny(seed: int) -> tuple[CostTable, LossTable]:
    """Five groups in a row, each boundary with a price, two conditions that disagree, and one pair."""
    full = CostTable.of(Graph.parse(float_graph()), PROFILE)
    random = np.random.default_rng(seed)
    groups = full.groups[:5]
    prices = tuple({INT8: Price(a, a), INT16: Price(a + b, a + b)} for a, b in random.random((5, 2)))
    boundaries = tuple(
        Boundary(n, (n + 1,), {(INT8, INT16): Price(c, c), (INT16, INT8): Price(c, c)})
        for n, c in enumerate(random.random(4) / 4)
    )
    table = replace(full, groups=groups, legal=((INT8, INT16),) * 5, prices=prices, boundaries=boundaries)
    columns = (("p", "all"), ("p", "thermal=crossover"))
    rows = {c: [{INT8: float(v), INT16: 0.1 * float(v), FP32: 0.0} for v in random.random(5)] for c in columns}
    pair = PairTerm(groups[1].name, groups[3].name, {c: float(v) for c, v in zip(columns, (0.5, -0.2), strict=True)})
    return table, LossTable(tuple(g.name for g in groups), columns, rows, rows, (pair,))


def _energy(costs: CostTable, chosen: tuple[Precision, ...]) -> float:
    boundaries = sum(
        boundary.prices[chosen[boundary.source], chosen[reader]].energy_mj
        for boundary in costs.boundaries
        for reader in boundary.readers
        if chosen[boundary.source] is not chosen[reader]
    )
    return boundaries + sum(costs.prices[g][p].energy_mj for g, p in enumerate(chosen))


@pytest.mark.parametrize("seed", range(8))
def test_the_optimum_is_that_of_trying_every_plan(seed: int) -> None:
    costs, losses = _tiny(seed)
    idle_w = costs.profile.idle_mw / 1e3
    every = list(product((INT8, INT16), repeat=5))
    middle = float(np.median([_energy(costs, c) for c in every]))
    fitting = [c for c in every if _energy(costs, c) <= middle]
    expected = min(losses.worst(c) for c in fitting)
    program = PrecisionMilp(costs, losses)
    chosen = program.solve(Budget(1e9, idle_w + 60 * middle / 1e3 + 1e-9, 60))
    assert chosen is not None
    assert _energy(costs, chosen) <= middle + 1e-6
    assert losses.worst(chosen) == pytest.approx(expected, rel=1e-3)
    second = program.solve(Budget(1e9, idle_w + 60 * middle / 1e3 + 1e-9, 60), [chosen])
    assert second is not None
    assert second != chosen
    assert losses.worst(second) >= losses.worst(chosen) - 1e-3


def test_a_plan_fits_its_budget_says_what_it_chose_and_is_no_worse_than_greedy_order(costs: CostTable) -> None:
    integer = CostTable.of(costs.graph, PROFILE)
    program = PrecisionMilp(integer, _losses(integer))
    low, high = (integer.of_plan([p] * len(integer.groups)).watts(60) for p in (INT8, INT16))
    budget = Budget(16.67, (low + high) / 2, 60)
    first, second = best(program, budget, 2)
    assert first.chosen != second.chosen
    assert first.watts <= budget.watts
    assert first.upper <= cheaper_greedy(program, budget).upper * 1.001
    wanted = precisions(integer.graph, first.plan)
    for group, precision in zip(integer.groups, first.chosen, strict=True):
        assert {wanted[index] for index in group.ops} == {precision}
    produce(float_graph(), first.plan, study().ranges)
    reasons = earned(program, first, budget)
    assert {e.group for e in reasons} == set(first.groups(program, INT16))
    assert all(e.own_loss >= 0 for e in reasons)


def test_the_front_falls_with_rising_power(costs: CostTable) -> None:
    program = PrecisionMilp(CostTable.of(costs.graph, PROFILE), _losses(costs))
    points = front(program, Budget(16.67, 8.0, 60))
    assert len(points) >= 5
    assert all(a.watts < b.watts and a.upper > b.upper for a, b in pairwise(points))


@pytest.mark.parametrize(
    ("latency_ms", "watts", "told"),
    [
        (0.01, 8.0, "latency: the fastest takes"),
        (16.67, 1.5001, "power: the minimum is"),
        (0.01, 1.5001, "latency.*power"),
    ],
)
def test_a_budget_that_nothing_fits_says_which_limit_binds_and_by_how_much(
    costs: CostTable, latency_ms: float, watts: float, told: str
) -> None:
    with pytest.raises(InfeasibleError, match=told + r".* over"):
        best(PrecisionMilp(costs, _losses(costs)), Budget(latency_ms, watts, 60))


def test_a_map_of_another_graph_is_refused(costs: CostTable) -> None:
    losses = _losses(costs)
    with pytest.raises(ModelsError, match="another graph"):
        PrecisionMilp(costs, replace(losses, groups=("x", *losses.groups[1:])))


@pytest.mark.slow
def test_the_full_transformer_takes_the_published_watts_within_two_per_cent() -> None:
    from ks100.steps.costs import untrained

    graph = Graph.parse(untrained("fusion-transformer"))

    def watts(plan: str) -> float:
        wanted = precisions(graph, STANDARD_PLANS[plan])
        return cost(retyped(graph, {i: p.op_dtype for i, p in wanted.items()}), PROFILE).watts(60)

    assert watts("int8") == pytest.approx(5.6, rel=0.02)
    assert watts("mixed") == pytest.approx(6.1, rel=0.02)
    assert watts("fp32") > 40
