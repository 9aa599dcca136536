"""The plan as a mixed-integer program: minimum loss in the worst condition within latency and power, solved exactly.

Variables: x[g, p] group g in precision p (one of its legal ones); y[t, p, q] tensor t is written in p and read by some
group in q, so it is converted; z[a, b] both groups of a measured pair are INT8; T the loss.

    minimise    T
    subject to  T >= sum x U[g, p, c] + sum z I[a, b, c]         for every condition c
                sum x ms[g, p] + sum y ms[t, p, q] <= latency
                idle + rate (sum x mJ[g, p] + sum y mJ[t, p, q]) <= watts
                y[t, p, q] >= x[source, p] + x[reader, q] - 1    z between x[a] + x[b] - 1 and both

U are upper bounds of the intervals. A millionth of the power is added to break ties in favour of less power.
Solved by HiGHS (Huangfu and Hall, Mathematical Programming Computation 10, 2018) through `scipy.optimize.milp`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from models.errors import ModelsError
from models.planning.cost_table import CHOICES, CostTable
from models.planning.loss_table import LossTable
from models.quant.plan import Precision

_INPUT_CONVERSIONS = frozenset(
    {(Precision.INT16, Precision.INT8), (Precision.INT16, Precision.FP32), (Precision.INT8, Precision.FP32)}
)

__all__ = ["Budget", "Chosen", "PrecisionMilp"]

Chosen = tuple[Precision, ...]
_TIE = 1e-6
_TIME_LIMIT_S = 30.0
_GAP = 1e-4


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of a plan.

    Attributes:
        latency_ms: of one inference.
        watts: mean power of the board at ``rate_hz``.
        rate_hz: inferences per second.
    """

    latency_ms: float
    watts: float
    rate_hz: float


class PrecisionMilp:
    """The program of one graph, board and map, solvable for any budget."""

    def __init__(self, costs: CostTable, losses: LossTable) -> None:
        """Define the variables.

        Raises:
            ModelsError: costs and losses are of different graphs.
        """
        if tuple(group.name for group in costs.groups) != losses.groups:
            raise ModelsError("the sensitivity map is of another graph; measure it again for this one")
        self._costs, self._losses = costs, losses
        self._x: dict[tuple[int, Precision], int] = {}
        self._y: dict[tuple[int, Precision, Precision], int] = {}
        for number, legal in enumerate(costs.legal):
            for precision in legal:
                self._x[number, precision] = len(self._x)
        start = len(self._x)
        for number, boundary in enumerate(costs.boundaries):
            for pair in boundary.prices:
                if boundary.source >= 0 or pair in _INPUT_CONVERSIONS:
                    self._y[number, *pair] = start + len(self._y)
        start += len(self._y)
        self._z = {number: start + number for number in range(len(losses.pairs))}
        self._loss = start + len(self._z)
        self._scale = 1.0 / max(losses.worst([Precision.INT8] * len(costs.groups)), 1e-30)
        self._fixed = [*self._one_each(), *self._conversions(), *self._pairs(), *self._worst()]

    @property
    def costs(self) -> CostTable:
        """The costs."""
        return self._costs

    @property
    def losses(self) -> LossTable:
        """The losses."""
        return self._losses

    def solve(self, budget: Budget, excluded: Sequence[Chosen] = ()) -> Chosen | None:
        """Return the best choice within ``budget`` apart from ``excluded``; None if there is none."""
        rows = [*self._fixed, self._limit("latency_ms", budget.latency_ms), self._power(budget)]
        rows += [self._other_than(chosen) for chosen in excluded]
        target = self._zeros()
        target[self._loss] = 1.0
        watts = self._coefficients("energy_mj")
        target += _TIE * watts / max(watts.max(), 1e-30)
        return self._run(target, rows)

    def minimum(self, field: str) -> Chosen:
        """Return the choice with the minimum ``latency_ms`` or ``energy_mj``.

        Raises:
            ModelsError: no choice is legal.
        """
        found = self._run(self._coefficients(field), self._fixed)
        if found is None:
            raise ModelsError("no precision of some group is legal on this board and runtime; see `ks100 cost`")
        return found

    def min_power_within(self, latency_ms: float) -> Chosen | None:
        """Return the choice with the minimum power within a latency."""
        return self._run(self._coefficients("energy_mj"), [*self._fixed, self._limit("latency_ms", latency_ms)])

    def _run(self, target: NDArray[np.float64], rows: Sequence[_Row]) -> Chosen | None:
        variables = len(target)
        integer = np.ones(variables, np.int8)
        integer[self._loss] = 0
        upper = np.ones(variables)
        upper[self._loss] = np.inf
        lower = np.zeros(variables)
        lower[self._loss] = -np.inf
        result = milp(
            target, constraints=_constraints(rows, variables), integrality=integer, bounds=Bounds(lower, upper),
            options={"time_limit": _TIME_LIMIT_S, "mip_rel_gap": _GAP},
        )  # fmt: skip
        if result.x is None:
            return None
        values = result.x
        return tuple(
            max((p for p in CHOICES if (g, p) in self._x), key=lambda p, g=g: values[self._x[g, p]])  # type: ignore[misc]
            for g in range(len(self._costs.groups))
        )

    def _zeros(self) -> Any:
        return np.zeros(self._loss + 1)

    def _coefficients(self, field: str) -> Any:
        found = self._zeros()
        for (group, precision), at in self._x.items():
            found[at] = getattr(self._costs.prices[group][precision], field)
        for (boundary, a, b), at in self._y.items():
            found[at] = getattr(self._costs.boundaries[boundary].prices[a, b], field)
        return found

    def _limit(self, field: str, limit: float) -> _Row:
        row = self._coefficients(field)
        return _Row({int(i): float(row[i]) for i in np.nonzero(row)[0]}, -np.inf, limit)

    def _power(self, budget: Budget) -> _Row:
        idle_w = self._costs.profile.idle_mw / 1e3
        return self._limit("energy_mj", (budget.watts - idle_w) / budget.rate_hz * 1e3)

    def _one_each(self) -> list[_Row]:
        rows: dict[int, dict[int, float]] = {group: {} for group in range(len(self._costs.groups))}
        for (group, _), at in self._x.items():
            rows[group][at] = 1.0
        return [_Row(row, 1.0, 1.0) for row in rows.values()]

    def _conversions(self) -> list[_Row]:
        rows = []
        for (number, written, read), at in self._y.items():
            boundary = self._costs.boundaries[number]
            # An input has the type of its reader with the most bits.
            sources = (boundary.source,) if boundary.source >= 0 else boundary.readers
            for source, reader in product(sources, boundary.readers):
                if source != reader and (reader, read) in self._x and (source, written) in self._x:
                    row = {at: 1.0, self._x[reader, read]: -1.0, self._x[source, written]: -1.0}
                    rows.append(_Row(row, -1.0, np.inf))
        return rows

    def _pairs(self) -> list[_Row]:
        rows = []
        position = {name: i for i, name in enumerate(self._losses.groups)}
        for number, pair in enumerate(self._losses.pairs):
            ends = [self._x.get((position[name], Precision.INT8)) for name in (pair.first, pair.second)]
            at = self._z[number]
            if None in ends:
                rows.append(_Row({at: 1.0}, 0.0, 0.0))
                continue
            first, second = (end for end in ends if end is not None)
            rows.append(_Row({at: 1.0, first: -1.0, second: -1.0}, -1.0, np.inf))
            rows += [_Row({at: 1.0, end: -1.0}, -np.inf, 0.0) for end in (first, second)]
        return rows

    def _worst(self) -> list[_Row]:
        rows = []
        for column in self._losses.columns:
            row = {at: -self._scale * self._losses.uppers[column][g][p] for (g, p), at in self._x.items()}
            row |= {self._z[i]: -self._scale * pair.terms[column] for i, pair in enumerate(self._losses.pairs)}
            rows.append(_Row({**row, self._loss: 1.0}, 0.0, np.inf))
        return rows

    def _other_than(self, chosen: Chosen) -> _Row:
        """Constrain at least one group to differ."""
        return _Row({self._x[g, p]: 1.0 for g, p in enumerate(chosen)}, -np.inf, len(chosen) - 1.0)


@dataclass(frozen=True, slots=True)
class _Row:
    """A sparse linear constraint."""

    coefficients: dict[int, float]
    lower: float
    upper: float


def _constraints(rows: Sequence[_Row], variables: int) -> LinearConstraint:
    data = [value for row in rows for value in row.coefficients.values()]
    columns = [at for row in rows for at in row.coefficients]
    starts = np.cumsum([0, *(len(row.coefficients) for row in rows)])
    matrix = csr_array((data, columns, starts), shape=(len(rows), variables))
    return LinearConstraint(matrix, [row.lower for row in rows], [row.upper for row in rows])
