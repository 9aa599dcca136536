"""Choosing a plan: the best few within a budget, what each group earned it by, the front, and why nothing fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.errors import ModelsError
from models.planning.milp import Budget, Chosen, PrecisionMilp
from models.quant.plan import Precision, PrecisionPlan, Rule

__all__ = ["InfeasibleError", "Justification", "PlannedChoice", "best", "cheaper_greedy", "earned", "front", "planned"]

_FRONT_POINTS = 12


class InfeasibleError(ModelsError):
    """No plan fits the budget; the text says which constraint binds, and by how much."""


@dataclass(frozen=True)
class PlannedChoice:
    """A choice of precisions and what is predicted of it.

    Attributes:
        plan: as a precision plan.
        chosen: a precision for each group.
        loss: divergence in the worst condition.
        upper: its upper bound.
        latency_ms: modelled.
        watts: modelled, at the budget's rate.
    """

    plan: PrecisionPlan
    chosen: Chosen
    loss: float
    upper: float
    latency_ms: float
    watts: float

    def groups(self, program: PrecisionMilp, precision: Precision) -> tuple[str, ...]:
        """Return the names of the groups in a precision."""
        pairs = zip(program.costs.groups, self.chosen, strict=True)
        return tuple(group.name for group, p in pairs if p is precision)


@dataclass(frozen=True, slots=True)
class Justification:
    """Why one group is not INT8: what the plan would lose and save without it.

    Attributes:
        group: its name.
        precision: what it has.
        loss: how much the worst condition's upper bound would rise in INT8.
        own_loss: how much its own largest upper bound would.
        milliwatts: what INT8 would save at the budget's rate, boundaries included; negative where it would cost.
        microseconds: likewise.
    """

    group: str
    precision: Precision
    loss: float
    own_loss: float
    milliwatts: float
    microseconds: float


def planned(program: PrecisionMilp, chosen: Chosen, budget: Budget, name: str) -> PlannedChoice:
    """Return a choice with its predicted figures."""
    found = program.costs.of_plan(chosen)
    default = max(set(chosen), key=chosen.count)
    rules = tuple(
        Rule(layer, precision)
        for group, precision in zip(program.costs.groups, chosen, strict=True)
        if precision is not default
        for layer in dict.fromkeys(group.layers)
    )
    return PlannedChoice(
        plan=PrecisionPlan(default, rules, name),
        chosen=chosen,
        loss=program.losses.worst(chosen, upper=False),
        upper=program.losses.worst(chosen),
        latency_ms=found.latency_ms,
        watts=found.watts(budget.rate_hz),
    )


def best(program: PrecisionMilp, budget: Budget, count: int = 1) -> tuple[PlannedChoice, ...]:
    """Return the ``count`` best choices within a budget, the best first (fewer if there are no more).

    Raises:
        InfeasibleError: none fits.
    """
    found: list[Chosen] = []
    for _ in range(count):
        chosen = program.solve(budget, found)
        if chosen is None:
            break
        found.append(chosen)
    if not found:
        raise InfeasibleError(_why(program, budget))
    return tuple(planned(program, chosen, budget, f"plan-{n}") for n, chosen in enumerate(found, start=1))


def _why(program: PrecisionMilp, budget: Budget) -> str:
    """Say which constraint binds, and by how much."""
    costs = program.costs
    fastest = costs.of_plan(program.least("latency_ms")).latency_ms
    coolest = costs.of_plan(program.least("energy_mj")).watts(budget.rate_hz)
    parts = []
    if fastest > budget.latency_ms:
        parts.append(f"latency: the fastest takes {fastest:.2f} ms, {fastest - budget.latency_ms:.2f} ms over")
    if coolest > budget.watts:
        parts.append(f"power: the least is {coolest:.2f} W, {coolest - budget.watts:.2f} W over")
    if not parts:
        within = program.least_power_within(budget.latency_ms)
        together = costs.of_plan(within).watts(budget.rate_hz) if within else coolest
        parts.append(
            f"both together: within {budget.latency_ms:g} ms the least is {together:.2f} W,"
            f" {together - budget.watts:.2f} W over"
        )
    limits = f"{budget.latency_ms:g} ms, {budget.watts:g} W at {budget.rate_hz:g} frames/s"
    return f"no plan fits {limits}; {'; '.join(parts)}; raise that limit, or take a smaller network"


def front(program: PrecisionMilp, budget: Budget) -> tuple[PlannedChoice, ...]:
    """Return the Pareto front of predicted loss against watts within the budget's latency, by rising power."""
    coolest = program.least_power_within(budget.latency_ms)
    if coolest is None:
        return ()
    low = program.costs.of_plan(coolest).watts(budget.rate_hz)
    free = program.solve(Budget(budget.latency_ms, float("inf"), budget.rate_hz))
    high = program.costs.of_plan(free).watts(budget.rate_hz) if free else low
    found: list[PlannedChoice] = []
    for step in range(_FRONT_POINTS):
        # Most is gained by the first few milliwatts, so points lie closer there.
        watts = low + (high - low) * (step / (_FRONT_POINTS - 1)) ** 2 + 1e-9
        chosen = program.solve(Budget(budget.latency_ms, watts, budget.rate_hz))
        if chosen is not None:
            point = planned(program, chosen, budget, f"front-{step + 1}")
            if not found or point.upper < found[-1].upper * (1 - 1e-6):
                found.append(point)
    return tuple(found)


def earned(program: PrecisionMilp, choice: PlannedChoice, budget: Budget) -> tuple[Justification, ...]:
    """Return, for each group that is not INT8, what it earns its place by; the most telling first."""
    found = []
    whole = program.costs.of_plan(choice.chosen)
    for number, precision in enumerate(choice.chosen):
        if precision is Precision.INT8 or Precision.INT8 not in program.costs.legal[number]:
            continue
        changed = (*choice.chosen[:number], Precision.INT8, *choice.chosen[number + 1 :])
        without = program.costs.of_plan(changed)
        rows = [program.losses.uppers[column][number] for column in program.losses.columns]
        found.append(
            Justification(
                group=program.costs.groups[number].name,
                precision=precision,
                loss=program.losses.worst(changed) - choice.upper,
                own_loss=max(row[Precision.INT8] - row[precision] for row in rows),
                milliwatts=1e3 * (whole.watts(budget.rate_hz) - without.watts(budget.rate_hz)),
                microseconds=1e3 * (whole.latency_ms - without.latency_ms),
            )
        )
    return tuple(sorted(found, key=lambda item: -item.own_loss))


def cheaper_greedy(program: PrecisionMilp, budget: Budget) -> PlannedChoice:
    """Return what greedy order finds: from all INT8, INT16 for the most sensitive group that still fits, and so on.

    The way a plan is often made by hand; here to compare with.
    """
    chosen: list[Precision] = [Precision.INT8] * len(program.costs.groups)
    losses = program.losses
    order: Sequence[int] = sorted(
        range(len(chosen)), key=lambda g: -max(losses.uppers[c][g][Precision.INT8] for c in losses.columns)
    )
    for number in order:
        if Precision.INT16 not in program.costs.legal[number]:
            continue
        tried = [*chosen]
        tried[number] = Precision.INT16
        found = program.costs.of_plan(tried)
        if found.latency_ms <= budget.latency_ms and found.watts(budget.rate_hz) <= budget.watts:
            chosen = tried
    return planned(program, tuple(chosen), budget, "greedy")
