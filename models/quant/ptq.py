"""Post-training quantization in one call: calibrate, produce, compare with the float graph, refuse a collapse.

Which way of choosing ranges is best depends on the network: a clip that is best for a tensor's own error need not be
for the outputs. So each is tried, and the graph is kept whose outputs are nearest to the float ones where they are
farthest: in their worst condition. Channels are equalized, and biases corrected, if that brings them nearer still.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from firmware_bridge.device.graph import Graph
from models.captures import CaptureSet
from models.progress import Count
from models.quant.calibrate import CalibrationMethod, calibrate_each
from models.quant.correction import correct_biases
from models.quant.equalization import equalize
from models.quant.feeds import Sample
from models.quant.fidelity import OutputFidelity, fidelity, refuse_collapse, worst_condition_error
from models.quant.fitting import fit_for_quantizing
from models.quant.plan import PrecisionPlan
from models.quant.produce import precisions, produce
from models.quant.ranges import Ranges

__all__ = ["QuantizedGraph", "quantize_ptq"]


@dataclass(frozen=True)
class QuantizedGraph:
    """A produced graph and what is known of it.

    Attributes:
        model: the .tflite.
        plan: what it was asked for.
        ranges: what its activations were quantized with.
        outputs: how faithful each output is to the float graph.
        bias_corrected: whether its biases were corrected for the mean error of quantization.
        equalized: whether channels between its convolutions were equalized.
    """

    model: bytes
    plan: PrecisionPlan
    ranges: Ranges
    outputs: tuple[OutputFidelity, ...]
    bias_corrected: bool = False
    equalized: bool = False

    @property
    def ranges_text(self) -> str:
        """How its ranges were found, and what was done to the weights before."""
        applied = [(self.equalized, "channels equalized"), (self.bias_corrected, "biases corrected")]
        return ", ".join([self.ranges.source, *(text for done, text in applied if done)])


def quantize_ptq(
    float_tflite: bytes,
    plan: PrecisionPlan,
    captures: CaptureSet | Sequence[Sample],
    *,
    method: CalibrationMethod | None = None,
    target_runtime: str = "litert",
    allow_float: bool = False,
    allow_collapse: bool = False,
    progress: Count | None = None,
) -> QuantizedGraph:
    """Quantize a float graph without training.

    Args:
        float_tflite: the float graph.
        plan: which layer computes in what.
        captures: calibration data, over all conditions.
        method: how INT8 ranges are chosen; None tries each and keeps the best on the calibration data.
        target_runtime: the runtime of the board.
        allow_float: leave operations float that cannot have the planned type.
        allow_collapse: return a graph even if an output no longer resembles the float one.
        progress: told of calibration's steps.

    Raises:
        DataError: graph or data are wrong.
        RecipeError: the plan names no layer.
        QuantizationError: the graph cannot be produced as planned, or collapsed.
    """
    methods = tuple(CalibrationMethod) if method is None else (method,)
    graph = Graph.parse(fit_for_quantizing(float_tflite))
    wanted = precisions(graph, plan, target_runtime, allow_float=allow_float)
    integer = any(precision.integer for precision in wanted.values())

    def made_of(source: bytes, ranges: Ranges, **applied: bool) -> _Candidate:
        model = produce(source, plan, ranges, target_runtime, allow_float=allow_float)
        return _Candidate(model, ranges, worst_condition_error(float_tflite, model, captures), **applied)

    made = []
    for source in _sources(float_tflite) if integer else (float_tflite,):
        equalized = source is not float_tflite
        for ranges in calibrate_each(source, captures, methods, progress).values():
            made.append(made_of(source, ranges, equalized=equalized))
            if integer:
                corrected = correct_biases(source, wanted, ranges, captures)
                made.append(made_of(corrected, ranges, equalized=equalized, bias_corrected=True))
    best = min(made, key=lambda candidate: candidate.error)
    outputs = fidelity(float_tflite, best.model, captures)
    if not allow_collapse:
        refuse_collapse(outputs)
    return QuantizedGraph(best.model, plan, best.ranges, outputs, best.bias_corrected, best.equalized)


def _sources(float_tflite: bytes) -> tuple[bytes, ...]:
    """Return the float graph, and beside it the equalized one if that is another."""
    equalized = equalize(float_tflite)
    return (float_tflite,) if equalized == float_tflite else (float_tflite, equalized)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A graph and how far it is from the float one in its worst condition."""

    model: bytes
    ranges: Ranges
    error: float
    equalized: bool = False
    bias_corrected: bool = False
