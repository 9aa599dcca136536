"""Do two runs of one graph agree? Differences of each output in steps (LSB) of its own grid.

Compares kernels, runtimes and boards; for a float parent see `models.quant.fidelity`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph
from models.errors import DataError

__all__ = ["OutputParity", "compare_outputs", "parity"]


class Runs(Protocol):
    """What runs a graph: a runtime's session, or a board."""

    @property
    def graph(self) -> Graph:
        """The graph."""
        ...

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run once; inputs and outputs by signature name."""
        ...


@dataclass(frozen=True, slots=True)
class OutputParity:
    """One output of two runs.

    Attributes:
        name: of the output.
        values: how many values were compared.
        mismatches: how many differ at all.
        max_lsb: largest difference, in steps (in the output's unit if it is float).
        mean_lsb: mean absolute difference.
        p99_lsb: difference that 99 % of the values stay within.
    """

    name: str
    values: int
    mismatches: int
    max_lsb: float
    mean_lsb: float
    p99_lsb: float

    @property
    def equal(self) -> bool:
        """Whether the runs agree bit for bit."""
        return self.mismatches == 0


def parity(first: Runs, second: Runs, feeds: Iterable[Mapping[str, NDArray[Any]]]) -> tuple[OutputParity, ...]:
    """Run both on the same inputs (of the graph's own types) and compare.

    Raises:
        DataError: there are no feeds, or the outputs differ in name, type or shape.
    """
    runs = [(first.run(feed), second.run(feed)) for feed in feeds]
    return compare_outputs([a for a, _ in runs], [b for _, b in runs])


def compare_outputs(
    first: Sequence[Mapping[str, NDArray[Any]]], second: Sequence[Mapping[str, NDArray[Any]]]
) -> tuple[OutputParity, ...]:
    """Compare outputs that were run elsewhere, frame by frame.

    Raises:
        DataError: there are none, or they differ in number, name, type or shape.
    """
    if not first or len(first) != len(second):
        raise DataError(f"parity needs as many frames on both sides, and at least one; got {len(first)}, {len(second)}")
    for a, b in zip(first, second, strict=True):
        if {n: (v.dtype, v.shape) for n, v in a.items()} != {n: (v.dtype, v.shape) for n, v in b.items()}:
            raise DataError("the two runs give outputs of other names, types or shapes: they are not of one graph")
    return tuple(_output(name, [a[name] for a in first], [b[name] for b in second]) for name in first[0])


def _output(name: str, first: list[NDArray[Any]], second: list[NDArray[Any]]) -> OutputParity:
    a, b = (np.concatenate([value.ravel() for value in side]).astype(np.float64) for side in (first, second))
    difference = np.abs(a - b)
    return OutputParity(
        name=name,
        values=int(difference.size),
        mismatches=int(np.count_nonzero(difference)),
        max_lsb=float(difference.max(initial=0.0)),
        mean_lsb=float(difference.mean()) if difference.size else 0.0,
        p99_lsb=float(np.quantile(difference, 0.99)) if difference.size else 0.0,
    )
