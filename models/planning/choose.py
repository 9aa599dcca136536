"""Choosing a plan: the best ones within a budget, their justification, the Pareto front, and why nothing fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.errors import ModelsError
from models.planning.milp import Budget, Chosen, PrecisionMilp
from models.quant.plan import Precision, PrecisionPlan, Rule

__all__ = ["InfeasibleError", "Justification", "PlannedChoice", "best", "cheaper_greedy", "earned", "front", "planned"]

_FRONT_POINTS = 12


class InfeasibleError(ModelsError):
    """No plan fits the budget; the text names the binding constraint and the excess."""


@dataclass(frozen=True)
class PlannedChoice:
    """A choice of precisions with its predicted figures.

    Attributes:
        plan: the precision plan.
        chosen: the precision of each group.
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
    """Why one group is not INT8: the loss and savings of the plan with that group in INT8.

    Attributes:
        group: its name.
        precision: its precision.
        loss: rise of the worst condition's upper bound.
        own_loss: rise of its own largest upper bound.
        milliwatts: power saved at the budget's rate, boundaries included; negative if it costs power.
        microseconds: time saved, boundaries included; negative if it costs time.
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
    """Return the ``count`` best choices within a budget, best first; fewer if no more exist.

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
    """Name the binding constraint and the excess."""
    costs = program.costs
    fastest = costs.of_plan(program.minimum("latency_ms")).latency_ms
    coolest = costs.of_plan(program.minimum("energy_mj")).watts(budget.rate_hz)
    parts = []
    if fastest > budget.latency_ms:
        parts.append(f"latency: the fastest takes {fastest:.2f} ms, {fastest - budget.latency_ms:.2f} ms over")
    if coolest > budget.watts:
        parts.append(f"power: the minimum is {coolest:.2f} W, {coolest - budget.watts:.2f} W over")
    if not parts:
        within = program.min_power_within(budget.latency_ms)
        together = costs.of_plan(within).watts(budget.rate_hz) if within else coolest
        parts.append(
            f"both together: within {budget.latency_ms:g} ms the minimum is {together:.2f} W,"
            f" {together - budget.watts:.2f} W over"
        )
    limits = f"{budget.latency_ms:g} ms, {budget.watts:g} W at {budget.rate_hz:g} frames/s"
    return f"no plan fits {limits}; {'; '.join(parts)}; raise that limit, or use a smaller network"


def front(program: PrecisionMilp, budget: Budget) -> tuple[PlannedChoice, ...]:
    """Return the Pareto front of predicted loss against power within the budget's latency, by ascending power."""
    coolest = program.min_power_within(budget.latency_ms)
    if coolest is None:
        return ()
    low = program.costs.of_plan(coolest).watts(budget.rate_hz)
    free = program.solve(Budget(budget.latency_ms, float("inf"), budget.rate_hz))
    high = program.costs.of_plan(free).watts(budget.rate_hz) if free else low
    found: list[PlannedChoice] = []
    for step in range(_FRONT_POINTS):
        # The first few milliwatts gain the most, so points are denser there.
        watts = low + (high - low) * (step / (_FRONT_POINTS - 1)) ** 2 + 1e-9
        chosen = program.solve(Budget(budget.latency_ms, watts, budget.rate_hz))
        if chosen is not None:
            point = planned(program, chosen, budget, f"front-{step + 1}")
            if not found or point.upper < found[-1].upper * (1 - 1e-6):
                found.append(point)
    return tuple(found)


def earned(program: PrecisionMilp, choice: PlannedChoice, budget: Budget) -> tuple[Justification, ...]:
    """Return the justification of each group that is not INT8, the largest loss first."""
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
    """Return the greedy choice: starting from INT8, move the most sensitive group that still fits to INT16, repeatedly.

    Plans are often made this way by hand; a baseline for comparison.
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
