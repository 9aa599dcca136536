"""Fitting a board profile's constants to measured graphs: how a team with hardware makes the cost model theirs.

A trace holds, for each of several graphs, the latency and the energy above idle of an inference, as a HIL run measured
them. The constants are found by least squares on relative errors, over the logarithms of the constants: they are
positive and span decades. The model is that of `firmware_bridge.device.cost`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.stats import t as student

from firmware_bridge.device.cost import cost
from firmware_bridge.device.graph import Graph
from firmware_bridge.device.profile import BoardProfile
from hil.errors import EvidenceError

__all__ = ["FittedConstant", "NpuFit", "TraceRun", "fit_constants", "with_constants"]

USUAL = ("npu.*", "npu_overhead.op_s", "memory.dram_*", "cpu.*")
"""The constants that are fitted unless others are named, as far as the graphs depend on them."""
_SENSITIVE = 1e-6  # relative change of a figure for a relative change of a constant: below it nothing can be learned
_CONDITION = 1e-3
_WIDE = 0.2
_CONFIDENCE = 0.95
_DECADES = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRun:
    """What was measured of one graph.

    Attributes:
        graph: path of its .tflite or package, relative to the trace's folder.
        sha256: of the graph's bytes, hex.
        latency_ms: median of an inference, milliseconds.
        energy_mj: of an inference, above idle, all rails that count, millijoules.
        latency_error: standard error of the latency, as a fraction of it.
        energy_error: of the energy, likewise.
    """

    graph: str
    sha256: str
    latency_ms: float
    energy_mj: float
    latency_error: float = 0.005
    energy_error: float = 0.01

    def __post_init__(self) -> None:
        """Refuse what cannot be measured."""
        figures = (self.latency_ms, self.energy_mj, self.latency_error, self.energy_error)
        if not all(math.isfinite(value) and value > 0 for value in figures):
            raise ValueError("latency, energy and their errors are positive numbers")


@dataclass(frozen=True, slots=True)
class FittedConstant:
    """One constant: the profile's value, the fitted one, and its 95 % interval."""

    key: str
    before: float
    value: float
    low: float
    high: float

    @property
    def wide(self) -> bool:
        """Whether the interval reaches farther than a fifth of the value to a side: the graphs say little of it."""
        return self.high > (1 + _WIDE) * self.value or self.low < self.value / (1 + _WIDE)


@dataclass(frozen=True, slots=True)
class NpuFit:
    """A fitted profile.

    Attributes:
        constants: the fitted ones.
        residuals: (model - measured) / measured of latency and energy, float64 [graphs, 2].
        text: the profile's TOML with the fitted values.
    """

    constants: tuple[FittedConstant, ...]
    residuals: NDArray[np.float64]
    text: str


def fit_constants(
    text: str, where: str, graphs: Sequence[Graph], runs: Sequence[TraceRun], wanted: Sequence[str] = ()
) -> NpuFit:
    """Fit constants of a profile to measured graphs.

    Args:
        text: the profile's TOML, which the fit starts from.
        where: names it in errors.
        graphs: what ran.
        runs: what was measured of each.
        wanted: keys to fit, with ``*`` for any part; `USUAL` if empty.

    Raises:
        EvidenceError: no constant has such a key, or the graphs cannot tell the constants apart: the text names them.
    """
    profile = BoardProfile.parse(text, where)
    known = {item.key: item.value for item in profile.constants}
    for pattern in wanted:
        if not any(fnmatchcase(key, pattern) for key in known):
            raise EvidenceError(f"{where} has no constant {pattern}; ks100 cost MODEL --constants lists them")
    chosen = [key for key in known if any(fnmatchcase(key, pattern) for pattern in wanted or USUAL)]
    measured = np.array([[run.latency_ms, run.energy_mj] for run in runs])
    errors = np.array([[run.latency_error, run.energy_error] for run in runs])

    def relative(keys: Sequence[str], logs: NDArray[np.float64]) -> NDArray[np.float64]:
        values = {key: known[key] * math.exp(log) for key, log in zip(keys, logs, strict=True)}
        changed = BoardProfile.parse(with_constants(text, values, ""), where)
        costs = [cost(graph, changed) for graph in graphs]
        figures = np.array([[found.latency_ms, found.energy_mj] for found in costs])
        return np.asarray(figures / measured - 1)

    slopes = {key: relative([key], np.array([1e-3])) - relative([key], np.array([-1e-3])) for key in chosen}
    keys = [key for key in chosen if np.abs(slopes[key]).max() > 2e-3 * _SENSITIVE]
    if wanted and (silent := sorted(set(chosen) - set(keys))):
        raise EvidenceError(f"no graph of the trace depends on {', '.join(silent)}; measure one that does")
    if not keys:
        raise EvidenceError("no graph of the trace depends on any constant that was to be fitted")
    if measured.size <= len(keys):
        raise EvidenceError(
            f"{len(keys)} constants ({', '.join(keys)}) from {measured.size} figures: measure at least "
            f"{len(keys) // 2 + 1} graphs that differ, or fit fewer constants (--fit)"
        )

    def residuals(logs: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((relative(keys, logs) / errors).ravel())

    found = least_squares(
        residuals, np.zeros(len(keys)),
        bounds=(-_DECADES * math.log(10), _DECADES * math.log(10)), x_scale="jac", diff_step=np.full(len(keys), 1e-4),
    )  # fmt: skip
    jacobian = np.asarray(found.jac, np.float64)
    _check_determined(jacobian, keys)
    freedom = measured.size - len(keys)
    spread = max(1.0, 2 * found.cost / freedom)  # graphs that fit worse than their errors say widen the intervals
    half = student.ppf((1 + _CONFIDENCE) / 2, freedom) * np.sqrt(spread * np.diag(np.linalg.inv(jacobian.T @ jacobian)))
    constants = tuple(
        FittedConstant(
            key, known[key], known[key] * math.exp(log), known[key] * math.exp(log - h), known[key] * math.exp(log + h)
        )
        for key, log, h in zip(keys, found.x, half, strict=True)
    )
    source = f"fitted to {len(runs)} measured graphs"
    return NpuFit(constants, relative(keys, found.x), with_constants(text, {c.key: c.value for c in constants}, source))


def _check_determined(jacobian: NDArray[np.float64], keys: Sequence[str]) -> None:
    """Check that the graphs tell the constants apart.

    Raises:
        EvidenceError: some could grow while others shrink, and no figure would change.
    """
    scaled = jacobian / np.maximum(np.linalg.norm(jacobian, axis=0), 1e-12)
    _, sizes, directions = np.linalg.svd(scaled)
    if sizes[-1] < _CONDITION * sizes[0]:
        mixed = [key for key, part in zip(keys, directions[-1], strict=True) if abs(part) > 0.3]
        raise EvidenceError(
            f"the graphs of the trace cannot tell {' and '.join(mixed)} apart: measure graphs in which these differ, "
            "or fit fewer constants (--fit)"
        )


_HEADER = re.compile(r"^\s*\[([^\[\]]+)\]\s*$")
_ENTRY = re.compile(r'^(\s*)([\w-]+)(\s*=\s*\{\s*value\s*=\s*)([^,}]+?)(\s*,\s*source\s*=\s*)("(?:[^"\\]|\\.)*")(.*)$')


def with_constants(text: str, values: dict[str, float], source: str) -> str:
    """Return a profile's TOML with other values; ``source``, unless empty, replaces theirs. All else stays.

    Raises:
        EvidenceError: a value does not stand in the form ``key = { value = …, source = … }``.
    """
    left, table, lines = dict(values), "", []
    for line in text.splitlines():
        if header := _HEADER.match(line):
            table = header[1].strip()
        elif (entry := _ENTRY.match(line)) and (key := f"{table}.{entry[2]}") in left:
            origin = f'"{source}"' if source else entry[6]
            line = f"{entry[1]}{entry[2]}{entry[3]}{left.pop(key):.9g}{entry[5]}{origin}{entry[7]}"
        lines.append(line)
    if left:
        raise EvidenceError(f"{', '.join(left)}: write it as key = {{ value = NUMBER, source = TEXT }} in its table")
    return "\n".join(lines) + "\n"
