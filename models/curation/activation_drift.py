"""Drift between calibration and evaluation activations: distance, clipping, and conditions that dominate a range.

The distance of two sets of values is the Wasserstein distance W1, the mean difference of their quantiles, in standard
deviations of the calibration values; the distance between the two halves of the calibration set estimates chance. A
range set by a single condition determines the INT8 step of all others, which lose resolution to its outliers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.captures import CaptureSet
from models.curation.activation_traces import TensorTrace, Tracer, Traces
from models.progress import Count, shifted

__all__ = ["ActivationReport", "DominantCategory", "TensorReport", "compare_activations"]

_QUANTILES = np.linspace(0.0, 1.0, 513)
_MIN_DISTANCE = 0.1
_TIMES_CHANCE = 3.0
# A tensor is reported above this fraction of its range. A fifth costs a third of a bit of an INT8 grid.
_DOMINANT_FRACTION = 0.2
_UNSTABLE_SHARE = 0.2
_CLIPPED_SHARE = 1e-3


@dataclass(frozen=True, slots=True)
class DominantCategory:
    """A condition without which a tensor's range would be smaller.

    Attributes:
        axis: e.g. ``thermal``, or ``capture`` for a single frame.
        category: e.g. ``crossover``, or the capture's id.
        fraction: fraction of the range that only it needs.
    """

    axis: str
    category: str
    fraction: float


@dataclass(frozen=True, slots=True)
class TensorReport:
    """One activation, calibration against evaluation.

    Attributes:
        name: its layer.
        low: minimum over the calibration set.
        high: maximum over the calibration set.
        distance: W1 of the two sets' values, in standard deviations of the calibration values.
        chance: W1 of the two halves of the calibration set, split by scene.
        clipped: fraction of the evaluation values outside the calibration range.
        half_range: how much the smaller half's range falls short, as a fraction of the whole range: above a fifth there
            is too little data.
        dominant: the one category that sets the range, if there is one.
    """

    name: str
    low: float
    high: float
    distance: float
    chance: float
    clipped: float
    half_range: float
    dominant: DominantCategory | None

    @property
    def drifted(self) -> bool:
        """Whether the evaluation values differ by more than the halves of the calibration set do."""
        return self.distance > max(_MIN_DISTANCE, _TIMES_CHANCE * self.chance)

    @property
    def clips(self) -> bool:
        """Whether the range clips more than one value in a thousand."""
        return self.clipped > _CLIPPED_SHARE

    @property
    def unstable(self) -> bool:
        """Whether half of the calibration set gives a much smaller range."""
        return self.half_range > _UNSTABLE_SHARE


@dataclass(frozen=True, slots=True)
class ActivationReport:
    """All activations, in execution order."""

    tensors: tuple[TensorReport, ...]

    @property
    def drifted(self) -> tuple[TensorReport, ...]:
        """Tensors that drifted, largest distance first."""
        return tuple(sorted((t for t in self.tensors if t.drifted), key=lambda t: -t.distance))

    @property
    def clipping(self) -> tuple[TensorReport, ...]:
        """Tensors that clip, largest fraction first."""
        return tuple(sorted((t for t in self.tensors if t.clips), key=lambda t: -t.clipped))

    @property
    def unstable(self) -> tuple[TensorReport, ...]:
        """Tensors whose range needs more calibration data, worst first."""
        return tuple(sorted((t for t in self.tensors if t.unstable), key=lambda t: -t.half_range))

    @property
    def set_by_one(self) -> tuple[TensorReport, ...]:
        """Tensors whose range is set by one condition or one capture, largest fraction first."""
        return tuple(
            sorted((t for t in self.tensors if t.dominant), key=lambda t: -(t.dominant.fraction if t.dominant else 0.0))
        )


def compare_activations(
    float_tflite: bytes,
    calibration: CaptureSet,
    evaluation: CaptureSet,
    progress: Count | None = None,
) -> ActivationReport:
    """Run a float graph over both sets and compare every activation.

    Args:
        float_tflite: the float graph.
        calibration: the calibration set.
        evaluation: captures like those of the field; a hundred spread over the set are enough.
        progress: called with (captures done, captures in all).

    Raises:
        DataError: the graph or a set cannot be used.
    """
    tracer = Tracer(float_tflite)
    total = len(calibration) + len(evaluation)
    before = tracer.trace(calibration, shifted(progress, 0, total))
    limits = {name: (float(t.low.min()), float(t.high.max())) for name, t in before.tensors.items()}
    after = tracer.trace(evaluation, shifted(progress, len(calibration), total), limits)
    half = _first_half(before)
    members = _members(before)
    return ActivationReport(
        tuple(_report(name, trace, after.tensors[name], half, members) for name, trace in before.tensors.items())
    )


def _first_half(traces: Traces) -> NDArray[np.bool_]:
    """Return a mask of the captures of every other scene, bool [n]."""
    scenes = {name: k for k, name in enumerate(dict.fromkeys(c.scene for c in traces.captures))}
    return np.array([scenes[c.scene] % 2 == 0 for c in traces.captures])


def _members(traces: Traces) -> dict[tuple[str, str], NDArray[np.bool_]]:
    """Return the masks of each category and of each single capture; axes with a single category are left out."""
    pairs = sorted({pair for c in traces.captures for pair in c.conditions.items})
    masks = {pair: np.array([pair in c.conditions.items for c in traces.captures]) for pair in pairs}
    alone = {("capture", c.id): np.arange(len(traces.captures)) == k for k, c in enumerate(traces.captures)}
    # Single captures come first: if one sets a range, its condition does so only because of it.
    return {pair: mask for pair, mask in (alone | masks).items() if not mask.all()}


def _report(
    name: str,
    calibration: TensorTrace,
    evaluation: TensorTrace,
    half: NDArray[np.bool_],
    members: dict[tuple[str, str], NDArray[np.bool_]],
) -> TensorReport:
    low, high = float(calibration.low.min()), float(calibration.high.max())
    span = max(_span(calibration, np.ones(len(calibration.low), bool)), 1e-12)
    halved = bool(half.any() and not half.all())
    spans = [_span(calibration, mask) for mask in (half, ~half)] if halved else [span]
    return TensorReport(
        name, low, high,
        distance=_distance(calibration.sample, evaluation.sample, calibration.sample),
        chance=_distance(calibration.sample[half], calibration.sample[~half], calibration.sample) if halved else 0.0,
        clipped=float(evaluation.outside.mean()),
        half_range=1.0 - min(spans) / span,
        dominant=_dominant(calibration, span, members),
    )  # fmt: skip


def _span(trace: TensorTrace, mask: NDArray[np.bool_]) -> float:
    """Return the length of the range of some captures, extended to include zero as integer grids do."""
    return max(float(trace.high[mask].max()), 0.0) - min(float(trace.low[mask].min()), 0.0)


def _distance(one: NDArray[np.float32], other: NDArray[np.float32], unit: NDArray[np.float32]) -> float:
    deviation = float(unit.std())
    gap = float(np.abs(np.quantile(one, _QUANTILES) - np.quantile(other, _QUANTILES)).mean())
    return gap / deviation if deviation > 0 else (0.0 if gap == 0 else np.inf)


def _dominant(
    trace: TensorTrace, span: float, members: dict[tuple[str, str], NDArray[np.bool_]]
) -> DominantCategory | None:
    """Return the capture or category that alone needs the largest fraction of the range, if that is large."""
    found: DominantCategory | None = None
    for (axis, category), mask in members.items():
        fraction = 1.0 - _span(trace, ~mask) / span
        if fraction > _DOMINANT_FRACTION and (found is None or fraction > found.fraction + 0.05):
            found = DominantCategory(axis, category, fraction)
    return found
