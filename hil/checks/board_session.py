"""A board seen as an inference session: what predicts on the host predicts on the board; and the two compared."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph
from firmware_bridge.device.runtime import Kernels, Session
from firmware_bridge.host.board import Board
from hil.errors import EvidenceError

__all__ = ["BoardSession", "Comparison"]


class BoardSession:
    """The active model of a board, as a `firmware_bridge.device.runtime.Session`.

    Attributes:
        latency_ms: latency of each run so far, on the board's clock.
    """

    def __init__(
        self, board: Board, graph: Graph, kernels: Kernels = Kernels.OPTIMISED, done: Callable[[], None] | None = None
    ) -> None:
        """Use ``board``, which runs ``graph``; ``done`` is called after each run."""
        self._board = board
        self._graph = graph
        self._kernels = kernels
        self._done = done
        self.latency_ms: list[float] = []

    @property
    def graph(self) -> Graph:
        """The graph that the board runs."""
        return self._graph

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run one inference on the board; see `firmware_bridge.device.runtime.Session.run`."""
        inference = self._board.infer(inputs, self._kernels)
        self.latency_ms.append(inference.latency_ms)
        if self._done is not None:
            self._done()
        return dict(inference.outputs)


class Comparison:
    """Runs two sessions on the same inputs and counts by how much their integer outputs differ.

    Attributes:
        runs: inferences compared.
        elements: output values compared.
        differing: how many of them differ.
        largest_steps: largest difference, in integer steps.
    """

    def __init__(self, one: Session, other: Session) -> None:
        """Compare ``one`` with ``other``; both run the same graph."""
        self._one, self._other = one, other
        self.runs = self.elements = self.differing = self.largest_steps = 0

    @property
    def graph(self) -> Graph:
        """The graph that both run."""
        return self._one.graph

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Run both and return the first one's outputs.

        Raises:
            EvidenceError: they do not give the same tensors.
        """
        ours, theirs = self._one.run(inputs), self._other.run(inputs)
        if ours.keys() != theirs.keys():
            raise EvidenceError(f"one gives the outputs {sorted(ours)}, the other {sorted(theirs)}")
        for name, value in ours.items():
            self._compare(name, value, theirs[name])
        self.runs += 1
        return ours

    def _compare(self, name: str, value: NDArray[Any], other: NDArray[Any]) -> None:
        if (value.dtype, value.shape) != (other.dtype, other.shape):
            raise EvidenceError(f"output {name}: {value.dtype} {value.shape} against {other.dtype} {other.shape}")
        if value.dtype.kind == "f":
            # Floats have no steps: equal bits are parity, anything else counts as one.
            steps = (value.view(f"u{value.itemsize}") != other.view(f"u{other.itemsize}")).astype(np.int64)
        else:
            steps = np.abs(value.astype(np.int64) - other.astype(np.int64))
        self.elements += value.size
        self.differing += int(np.count_nonzero(steps))
        self.largest_steps = max(self.largest_steps, int(steps.max(initial=0)))
