"""How faithful a produced graph is to its float parent, output by output.

Owns: SQNR and cosine over samples, and the verdict that an output collapsed. Accuracy on a task is
`models.evaluation`'s.

Both are centred: the mean of the float output is taken from either side first. An output of 200 plus a small signal
would otherwise show 56 dB and cosine 1.0000 where the signal is lost entirely.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.device.runtime import Kernels, Runtime, default_runtime
from models.captures import CaptureSet
from models.errors import QuantizationError
from models.quant.feeds import Sample, dequantized, evenly, quantized, samples_of

__all__ = [
    "COLLAPSE_COSINE",
    "DOUBTFUL_DB",
    "OutputFidelity",
    "Outputs",
    "compared",
    "fidelity",
    "refuse_collapse",
    "worst_condition",
    "worst_condition_error",
]

Outputs = Sequence[Mapping[str, NDArray[np.float32]]]
"""Outputs by name, for each sample."""

COLLAPSE_COSINE = 0.9
"""Below this an output no longer resembles the float one: some graphs collapse under static INT8."""
DOUBTFUL_DB = 15.0
"""Below this an output is worth a warning: a fifth of its deviation is noise."""
# A float output whose deviation is this part of its size is constant; its noise is then held against its size.
_CONSTANT = 1e-6


@dataclass(frozen=True, slots=True)
class OutputFidelity:
    """One output against the float graph, f and q with the mean of f taken away.

    Attributes:
        name: of the output.
        sqnr_db: 10 log10(sum f^2 / sum (f - q)^2), decibels; infinite if equal.
        cosine: of the angle between the two, over all samples.
        sigma_error: mean |f - q| in standard deviations of f.
    """

    name: str
    sqnr_db: float
    cosine: float
    sigma_error: float


def fidelity(
    float_tflite: bytes,
    produced: bytes,
    captures: CaptureSet | Sequence[Sample],
    runtime: Runtime | None = None,
    *,
    limit: int = 64,
    kernels: Kernels = Kernels.REFERENCE,
) -> tuple[OutputFidelity, ...]:
    """Run both graphs and compare their outputs.

    Args:
        float_tflite: the float graph.
        produced: the graph made from it; the same signature names.
        captures: what to run on; at most ``limit`` of them, evenly spread.
        runtime: what to run on; the default one if None.
        limit: most samples.
        kernels: of the produced graph.

    Raises:
        DataError: the samples do not fit.
    """
    _, expected, got = _both(float_tflite, produced, captures, runtime, limit, kernels)
    return compared(expected, got)


def worst_condition_error(
    float_tflite: bytes, produced: bytes, captures: CaptureSet | Sequence[Sample], *, limit: int = 128
) -> float:
    """Return how far the outputs are from the float ones in the condition category where they are farthest.

    Args:
        float_tflite: the float graph.
        produced: the graph made from it.
        captures: what to run on; at most ``limit`` of them, evenly spread.
        limit: most samples.

    Returns:
        As `worst_condition`.

    Raises:
        DataError: the samples do not fit.
    """
    return worst_condition(*_both(float_tflite, produced, captures, None, limit, Kernels.OPTIMISED))


def _both(
    float_tflite: bytes,
    produced: bytes,
    captures: CaptureSet | Sequence[Sample],
    runtime: Runtime | None,
    limit: int,
    kernels: Kernels,
) -> tuple[list[Sample], Outputs, Outputs]:
    """Return the samples, and what either graph makes of them."""
    runtime = runtime or default_runtime()
    plain, integer = runtime.load(float_tflite, Kernels.OPTIMISED), runtime.load(produced, kernels)
    samples = list(evenly(samples_of(captures, plain.graph), limit))
    expected = [plain.run(sample.feed) for sample in samples]
    got = [dequantized(integer.run(quantized(sample.feed, integer.graph)), integer.graph) for sample in samples]
    return samples, expected, got


def compared(expected: Outputs, got: Outputs) -> tuple[OutputFidelity, ...]:
    """Compare outputs that were computed elsewhere; both sides in the same order, at least one sample."""
    return tuple(
        _compare(name, *(np.concatenate([one[name].ravel() for one in side]) for side in (expected, got)))
        for name in expected[0]
    )


def worst_condition(samples: Sequence[Sample], expected: Outputs, got: Outputs) -> float:
    """Return how far ``got`` is from ``expected`` in the condition category where it is farthest.

    Returns:
        The mean over the outputs of mean |f - q| in standard deviations of f, largest over the categories.
    """
    errors: dict[str, dict[str, list[float]]] = {}
    for sample, wanted, found in zip(samples, expected, got, strict=True):
        for name, value in wanted.items():
            error = float(np.abs(value - found[name]).mean())
            for group in sample.groups or ("",):
                errors.setdefault(group, {}).setdefault(name, []).append(error)
    sigma = {name: max(float(np.std([one[name] for one in expected])), 1e-12) for name in expected[0]}
    return max(
        float(np.mean([np.mean(seen) / sigma[name] for name, seen in by_output.items()]))
        for by_output in errors.values()
    )


def _compare(name: str, expected: NDArray[Any], got: NDArray[Any]) -> OutputFidelity:
    wanted, found = expected.astype(np.float64), got.astype(np.float64)
    deviation = float(wanted.std())
    if deviation > _CONSTANT * float(np.sqrt(np.mean(wanted**2))):
        wanted, found = wanted - wanted.mean(), found - wanted.mean()
    difference = wanted - found
    noise, signal = float(difference @ difference), float(wanted @ wanted)
    norm = np.sqrt(signal * float(found @ found))
    return OutputFidelity(
        name=name,
        sqnr_db=float(10 * np.log10(signal / noise)) if noise and signal else float("inf" if not noise else "-inf"),
        cosine=float(wanted @ found / norm) if norm else float(not noise),
        sigma_error=float(np.abs(difference).mean() / max(deviation, 1e-12)),
    )


def refuse_collapse(found: Sequence[OutputFidelity], least_cosine: float = COLLAPSE_COSINE) -> None:
    """Refuse a graph of which an output no longer resembles the float one.

    Raises:
        QuantizationError: an output's cosine is below ``least_cosine``.
    """
    worst = min(found, key=lambda output: output.cosine)
    if not worst.cosine >= least_cosine:
        raise QuantizationError(
            f"output {worst.name!r} collapsed: cosine {worst.cosine:.3f} to the float graph, {worst.sqnr_db:.1f} dB"
            " (both without its mean); give its layers INT16, or calibrate on more data"
        )
