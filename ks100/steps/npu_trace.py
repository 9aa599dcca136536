"""Traces: what HIL runs measured of several graphs on one board, as `hil.virtual.npu_fit` takes it."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from firmware_bridge.device.graph import Graph
from firmware_bridge.package.container import PackageFile
from hil.errors import EvidenceError
from hil.measurements.quantiles import interval
from hil.measurements.results import LATENCY, HilResults
from hil.virtual.npu_fit import TraceRun
from ks100.errors import UsageError
from ks100.steps.evaluating import read_graph
from models.records import RecordFile

__all__ = ["Trace", "collect"]

_LATENCY, _ENERGY = "latency_p50", "energy_per_frame"
_Z95 = 1.96
_FINEST = 0.001


@dataclass(frozen=True, slots=True)
class Trace:
    """What was measured on one board.

    Attributes:
        board: which board, for people.
        runs: a graph each.
    """

    board: str
    runs: tuple[TraceRun, ...]

    def save(self, path: Path) -> None:
        """Write the trace."""
        _FILE.save(self, path)

    @classmethod
    def load(cls, path: Path) -> Trace:
        """Read a trace.

        Raises:
            EvidenceError: there is none, or it is damaged.
        """
        return _FILE.load(path)

    def graphs(self, folder: Path) -> list[Graph]:
        """Read the graphs that were measured; their paths are relative to ``folder``.

        Raises:
            UsageError: one is not the graph that was measured.
        """
        found = []
        for run in self.runs:
            data = read_graph(folder / run.graph)
            if hashlib.sha256(data).hexdigest() != run.sha256:
                raise UsageError(f"{folder / run.graph} is not the graph that was measured; its digest is another")
            found.append(Graph.parse(data))
        return found


_FILE = RecordFile(Trace, "a trace", 1, "collect it again with ks100 npu trace", EvidenceError)


def collect(pairs: Sequence[tuple[Path, Path]], out: Path) -> Trace:
    """Write the trace of packages and the results folders of their runs.

    Raises:
        EvidenceError: a run is of another package or board, or lacks a figure.
    """
    boards, runs = set(), []
    for package, folder in pairs:
        results = HilResults.load(folder)
        graph = PackageFile.open(package).manifest_unverified.payload_sha256.hex()
        if results.package is None or results.package.payload_sha256 != graph:
            raise EvidenceError(f"{folder} is not of {package}: its run measured another graph")
        boards.add("an unknown board" if results.board is None else f"{results.board.board} {results.board.serial}")
        latency_ms = _figure(results, _LATENCY, folder)
        runs.append(
            TraceRun(
                graph=os.path.relpath(package, out.parent), sha256=graph, latency_ms=latency_ms,
                energy_mj=_figure(results, _ENERGY, folder), latency_error=_latency_error(results, latency_ms),
            )
        )  # fmt: skip
    if len(boards) > 1:
        raise EvidenceError(f"the runs are of several boards: {', '.join(sorted(boards))}; a profile is of one")
    trace = Trace(boards.pop(), tuple(runs))
    trace.save(out)
    return trace


def _figure(results: HilResults, name: str, folder: Path) -> float:
    found = results.measurement(name)
    if found is None or not math.isfinite(found.value) or found.value <= 0:
        raise EvidenceError(f"{folder} has no {name}; measure with ks100 hil run, on a board whose rails are known")
    return found.value


def _latency_error(results: HilResults, latency_ms: float) -> float:
    """Return the standard error of the median latency, as a fraction of it."""
    low, high = interval(np.array(results.series(LATENCY), np.float64), 0.5)
    return max(_FINEST, (high - low) / (2 * _Z95) / latency_ms)
