"""Ranges of a float graph's activations, measured on data.

Owns: running the graph over the samples and keeping, for every activation, its extremes and (for the clipping
methods) one histogram a condition category. `models.quant.clipping` chooses the ends. Weights need no calibration.

Unlike the moving average of litert-quantizer's own calibration, nothing here depends on the samples' order, and
rare conditions weigh as much as they are asked to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph
from firmware_bridge.errors import InputError
from models.captures import CaptureSet
from models.errors import DataError
from models.preprocess import UNIT_RANGE
from models.progress import Count
from models.quant import clipping
from models.quant.activation_tap import Probe
from models.quant.feeds import CaptureSamples, Sample, samples_digest, samples_of
from models.quant.fitting import fit_for_quantizing
from models.quant.ranges import FIXED, Ranges, TensorRange

__all__ = ["WIDE_MARGIN", "CalibrationMethod", "calibrate", "calibrate_each"]


WIDE_MARGIN = 1.25
"""INT16 has steps to spare: its ranges reach this much beyond what was seen, so that other data does not clip."""

# Of N values two in N of the next ones lie outside their extremes, by some hundredths of the range. For the few
# values of a small output that costs more than the step that a margin of 10 / N makes coarser.
_MARGIN_VALUES, _LARGEST_MARGIN = 10, 0.1


class CalibrationMethod(Enum):
    """How the ends of an INT8 range are chosen; INT16 always spans all that was seen, and more."""

    MINMAX = "minmax"
    """The extremes, and a little more where few values were seen: nothing clips."""
    PERCENTILE = "percentile"
    """0.01 % of the values clip at each end."""
    MSE = "mse"
    """The ends with the least mean squared error over all samples."""
    WORST_CONDITION = "worst-condition"
    """The ends whose largest mean squared error in any condition category is least."""


@dataclass
class _Activation:
    """What is known of one activation so far; ``counts`` are int64 [groups, bins], ``values`` how many were seen."""

    low: float = np.inf
    high: float = -np.inf
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    values: int = 0


def calibrate(
    float_tflite: bytes,
    captures: CaptureSet | Sequence[Sample],
    method: CalibrationMethod = CalibrationMethod.WORST_CONDITION,
    progress: Count | None = None,
) -> Ranges:
    """Measure ranges; see `calibrate_each`, of which this is one method.

    Returns:
        A range for every float activation, under the tensor's name.
    """
    return calibrate_each(float_tflite, captures, (method,), progress)[method]


def calibrate_each(
    float_tflite: bytes,
    captures: CaptureSet | Sequence[Sample],
    methods: Sequence[CalibrationMethod] = tuple(CalibrationMethod),
    progress: Count | None = None,
) -> dict[CalibrationMethod, Ranges]:
    """Measure once, and choose ranges by several methods.

    Args:
        float_tflite: the float graph; foreign graphs are made fit first, as `models.quant.produce` does.
        captures: a capture set, or samples for graphs with other inputs.
        methods: how the ends are chosen; at least one.
        progress: told of each sample.

    Raises:
        DataError: there are no samples, one does not fit or is not finite, or the graph cannot be read, or gives NaN.
    """
    try:
        Graph.parse(float_tflite)
        probe = Probe(fit_for_quantizing(float_tflite))
    except InputError as error:
        raise DataError(f"the float graph cannot be read: {error}") from error
    samples = samples_of(captures, probe.graph)
    passes = 1 if set(methods) == {CalibrationMethod.MINMAX} else 2
    told = _Counter(progress, passes * len(samples))
    found = _extremes(probe, samples, told)
    if passes == 2:
        _histograms(probe, samples, found, told)
    data = captures.digest if isinstance(captures, CaptureSet) else samples_digest(samples)
    chosen = {}
    for method in methods:
        ranges = {name: _range(name, seen, method) for name, seen in found.items()}
        _fix(probe.graph, ranges)
        if isinstance(samples, CaptureSamples):
            ranges |= {probe.graph.tensors[t.index].name: TensorRange.plain(*UNIT_RANGE) for t in probe.graph.inputs}
        chosen[method] = Ranges(ranges, f"{method.value} over {len(samples)} samples", data)
    return chosen


@dataclass
class _Counter:
    progress: Count | None
    total: int
    done: int = 0

    def step(self) -> None:
        self.done += 1
        if self.progress is not None:
            self.progress(self.done, self.total)


def _extremes(probe: Probe, samples: Sequence[Sample], told: _Counter) -> dict[str, _Activation]:
    found: dict[str, _Activation] = {}
    for sample in samples:
        for tensor, value in probe.run(sample.feed):
            if tensor.dtype != "float32" or not value.size:
                continue
            seen = found.setdefault(tensor.name, _Activation())
            low, high = float(value.min()), float(value.max())
            if not np.isfinite([low, high]).all():
                raise DataError(
                    f"activation {tensor.name!r} is not finite on sample {told.done}; check it and the weights"
                )
            seen.low, seen.high = min(seen.low, low), max(seen.high, high)
            seen.values += value.size
        told.step()
    return found


def _histograms(probe: Probe, samples: Sequence[Sample], found: dict[str, _Activation], told: _Counter) -> None:
    """Count values by bin and condition category; the first row counts all samples."""
    groups: dict[str, int] = {"": 0}
    for sample in samples:
        rows = [0, *(groups.setdefault(group, len(groups)) for group in sample.groups)]
        for tensor, value in probe.run(sample.feed):
            seen = found.get(tensor.name)
            if seen is None or seen.low == seen.high:
                continue
            counts = clipping.binned(value, seen.low, seen.high)
            if seen.counts.shape[0] < len(groups):
                grown = np.zeros((len(groups), counts.size), np.int64)
                grown[: seen.counts.shape[0]] = seen.counts if seen.counts.size else 0
                seen.counts = grown
            seen.counts[rows] += counts
        told.step()


def _range(name: str, seen: _Activation, method: CalibrationMethod) -> TensorRange:
    low, high = seen.low, seen.high
    if seen.counts.size:
        if method is CalibrationMethod.PERCENTILE:
            low, high = clipping.percentile(seen.counts[0], seen.low, seen.high)
        elif method is CalibrationMethod.MSE or len(seen.counts) == 1:
            low, high = clipping.least_error(seen.counts[:1], seen.low, seen.high)
        else:
            low, high = clipping.least_error(seen.counts[1:], seen.low, seen.high)
    if (low, high) == (seen.low, seen.high) and seen.values:
        margin = 1 + min(_LARGEST_MARGIN, _MARGIN_VALUES / seen.values)
        low, high = low * margin, high * margin
    return TensorRange(low, high, WIDE_MARGIN * seen.low, WIDE_MARGIN * seen.high).checked(name)


def _fix(graph: Graph, ranges: dict[str, TensorRange]) -> None:
    for op in graph.ops:
        if op.op in FIXED:
            ranges[op.name] = TensorRange.plain(*FIXED[op.op])
