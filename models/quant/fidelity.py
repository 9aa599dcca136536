"""How faithful a produced graph is to its float parent, output by output.

Owns: SQNR and cosine over samples, and the verdict that an output collapsed. Accuracy on a task is
`models.evaluation`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from firmware_bridge.device.runtime import Kernels, Runtime, default_runtime
from models.captures import CaptureSet
from models.errors import QuantizationError
from models.quant.feeds import Sample, dequantized, evenly, quantized, samples_of

__all__ = ["COLLAPSE_COSINE", "OutputFidelity", "fidelity", "refuse_collapse", "worst_condition_error"]

COLLAPSE_COSINE = 0.9
"""Below this an output no longer resembles the float one: some graphs collapse under static INT8."""


@dataclass(frozen=True, slots=True)
class OutputFidelity:
    """One output against the float graph.

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
    runtime = runtime or default_runtime()
    plain, integer = runtime.load(float_tflite, Kernels.OPTIMISED), runtime.load(produced, kernels)
    pairs: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {tensor.name: [] for tensor in plain.graph.outputs}
    for sample in evenly(samples_of(captures, plain.graph), limit):
        expected = plain.run(sample.feed)
        got = dequantized(integer.run(quantized(sample.feed, integer.graph)), integer.graph)
        for name, found in pairs.items():
            found.append((expected[name].ravel(), got[name].ravel()))
    return tuple(
        _compare(name, *(np.concatenate(side) for side in zip(*found, strict=True))) for name, found in pairs.items()
    )


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
        The mean over the outputs of mean |f - q| in standard deviations of f, largest over the categories.

    Raises:
        DataError: the samples do not fit.
    """
    runtime = default_runtime()
    plain, integer = runtime.load(float_tflite), runtime.load(produced)
    errors: dict[str, dict[str, list[float]]] = {}
    values: dict[str, list[np.ndarray]] = {tensor.name: [] for tensor in plain.graph.outputs}
    for sample in evenly(samples_of(captures, plain.graph), limit):
        expected = plain.run(sample.feed)
        got = dequantized(integer.run(quantized(sample.feed, integer.graph)), integer.graph)
        for name, kept in values.items():
            kept.append(expected[name].ravel())
            error = float(np.abs(expected[name] - got[name]).mean())
            for group in sample.groups or ("",):
                errors.setdefault(group, {}).setdefault(name, []).append(error)
    sigma = {name: max(float(np.concatenate(kept).std()), 1e-12) for name, kept in values.items()}
    return max(
        float(np.mean([np.mean(seen) / sigma[name] for name, seen in by_output.items()]))
        for by_output in errors.values()
    )


def _compare(name: str, expected: np.ndarray, got: np.ndarray) -> OutputFidelity:
    wanted, difference = expected.astype(np.float64), (expected - got).astype(np.float64)
    noise, signal = float(difference @ difference), float(wanted @ wanted)
    norm = np.sqrt(signal * float(got.astype(np.float64) @ got))
    return OutputFidelity(
        name=name,
        sqnr_db=float(10 * np.log10(signal / noise)) if noise and signal else float("inf" if not noise else "-inf"),
        cosine=float(wanted @ got / norm) if norm else float(not noise),
        sigma_error=float(np.abs(difference).mean() / max(float(wanted.std()), 1e-12)),
    )


def refuse_collapse(found: Sequence[OutputFidelity], least_cosine: float = COLLAPSE_COSINE) -> None:
    """Refuse a graph of which an output no longer resembles the float one.

    Raises:
        QuantizationError: an output's cosine is below ``least_cosine``.
    """
    worst = min(found, key=lambda output: output.cosine)
    if not worst.cosine >= least_cosine:
        raise QuantizationError(
            f"output {worst.name!r} collapsed: cosine {worst.cosine:.3f} to the float graph, {worst.sqnr_db:.1f} dB;"
            " give its layers INT16, or calibrate on more data"
        )
