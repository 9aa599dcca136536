"""Whether a calibration set's activations are those that a graph will have: distance, clipping, and who sets a range.

The distance of two sets of values is Wasserstein's, W1, the mean difference of their quantiles, in standard deviations
of the calibration values; halves of the calibration set itself show how much of it is chance. A range that one
condition alone sets is the INT8 step of all others: they pay in resolution for its outliers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.captures import CaptureSet
from models.curation.activation_traces import TensorTrace, Tracer, Traces
from models.progress import Count, shifted

__all__ = ["ActivationReport", "SoleSetter", "TensorReport", "compare_activations"]

_QUANTILES = np.linspace(0.0, 1.0, 513)
_MIN_DISTANCE = 0.1
_TIMES_CHANCE = 3.0
# Over these shares of its range a tensor is reported. A fifth: two thirds of an INT8 grid's bit.
_SOLE_SHARE = 0.2
_UNSTABLE_SHARE = 0.2
_CLIPPED_SHARE = 1e-3


@dataclass(frozen=True, slots=True)
class SoleSetter:
    """A condition without which a tensor's range would be smaller.

    Attributes:
        axis: e.g. ``thermal``, or ``capture`` when it is a single frame.
        category: e.g. ``crossover``, or the capture's id.
        share: share of the range that it alone takes.
    """

    axis: str
    category: str
    share: float


@dataclass(frozen=True, slots=True)
class TensorReport:
    """One activation, calibration against evaluation.

    Attributes:
        name: its layer.
        low: least value over the calibration set.
        high: greatest value over the calibration set.
        distance: W1 of the two sets' values, in standard deviations of the calibration values.
        chance: the same of the calibration set's two halves, split by scene.
        clipped: share of the evaluation values outside the calibration range.
        half_range: how much smaller the smaller half's range is, as a share of the whole: over a fifth, there is too
            little data.
        sole: what alone sets the range, if anything does.
    """

    name: str
    low: float
    high: float
    distance: float
    chance: float
    clipped: float
    half_range: float
    sole: SoleSetter | None

    @property
    def drifted(self) -> bool:
        """Whether the evaluation set's values differ by more than the calibration set's own halves explain."""
        return self.distance > max(_MIN_DISTANCE, _TIMES_CHANCE * self.chance)

    @property
    def clips(self) -> bool:
        """Whether the range clips more than one value in a thousand."""
        return self.clipped > _CLIPPED_SHARE

    @property
    def unstable(self) -> bool:
        """Whether half of the calibration set would have given a much smaller range."""
        return self.half_range > _UNSTABLE_SHARE


@dataclass(frozen=True, slots=True)
class ActivationReport:
    """All activations, in execution order."""

    tensors: tuple[TensorReport, ...]

    @property
    def drifted(self) -> tuple[TensorReport, ...]:
        """Tensors that differ, farthest first."""
        return tuple(sorted((t for t in self.tensors if t.drifted), key=lambda t: -t.distance))

    @property
    def clipping(self) -> tuple[TensorReport, ...]:
        """Tensors that clip, most first."""
        return tuple(sorted((t for t in self.tensors if t.clips), key=lambda t: -t.clipped))

    @property
    def unstable(self) -> tuple[TensorReport, ...]:
        """Tensors whose range needs more data, worst first."""
        return tuple(sorted((t for t in self.tensors if t.unstable), key=lambda t: -t.half_range))

    @property
    def set_by_one(self) -> tuple[TensorReport, ...]:
        """Tensors whose range one condition or one capture alone sets, largest share first."""
        return tuple(sorted((t for t in self.tensors if t.sole), key=lambda t: -(t.sole.share if t.sole else 0.0)))


def compare_activations(
    float_tflite: bytes,
    calibration: CaptureSet,
    evaluation: CaptureSet,
    progress: Count | None = None,
) -> ActivationReport:
    """Run a float graph over both sets and compare every activation.

    Args:
        float_tflite: the float graph.
        calibration: what ranges are measured on.
        evaluation: what the graph will meet; a hundred captures spread over it are plenty.
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
    """Return which captures belong to every other scene, bool [n]."""
    scenes = {name: k for k, name in enumerate(dict.fromkeys(c.scene for c in traces.captures))}
    return np.array([scenes[c.scene] % 2 == 0 for c in traces.captures])


def _members(traces: Traces) -> dict[tuple[str, str], NDArray[np.bool_]]:
    """Return which captures are of each category, and each capture alone; whole axes of one category are left out."""
    pairs = sorted({pair for c in traces.captures for pair in c.conditions.items})
    masks = {pair: np.array([pair in c.conditions.items for c in traces.captures]) for pair in pairs}
    alone = {("capture", c.id): np.arange(len(traces.captures)) == k for k, c in enumerate(traces.captures)}
    # A single capture comes first: if it alone sets a range, its condition does so only through it.
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
        distance=_distance(calibration.kept, evaluation.kept, calibration.kept),
        chance=_distance(calibration.kept[half], calibration.kept[~half], calibration.kept) if halved else 0.0,
        clipped=float(evaluation.outside.mean()),
        half_range=1.0 - min(spans) / span,
        sole=_sole(calibration, span, members),
    )  # fmt: skip


def _span(trace: TensorTrace, mask: NDArray[np.bool_]) -> float:
    """Return the length of the range of some captures, with zero in it, as an integer grid has it."""
    return max(float(trace.high[mask].max()), 0.0) - min(float(trace.low[mask].min()), 0.0)


def _distance(one: NDArray[np.float32], other: NDArray[np.float32], unit: NDArray[np.float32]) -> float:
    deviation = float(unit.std())
    gap = float(np.abs(np.quantile(one, _QUANTILES) - np.quantile(other, _QUANTILES)).mean())
    return gap / deviation if deviation > 0 else (0.0 if gap == 0 else np.inf)


def _sole(trace: TensorTrace, span: float, members: dict[tuple[str, str], NDArray[np.bool_]]) -> SoleSetter | None:
    """Return what takes the largest share of the range for itself, if it is much; a single capture before its kind."""
    found: SoleSetter | None = None
    for (axis, category), mask in members.items():
        share = 1.0 - _span(trace, ~mask) / span
        if share > _SOLE_SHARE and (found is None or share > found.share + 0.05):
            found = SoleSetter(axis, category, share)
    return found
