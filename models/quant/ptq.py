"""Post-training quantization in one call: calibrate, produce, compare with the float graph, refuse a collapse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models.captures import CaptureSet
from models.quant.calibrate import CalibrationMethod, Progress, calibrate
from models.quant.feeds import Sample
from models.quant.fidelity import OutputFidelity, fidelity, refuse_collapse
from models.quant.plan import PrecisionPlan
from models.quant.produce import produce
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
    """

    model: bytes
    plan: PrecisionPlan
    ranges: Ranges
    outputs: tuple[OutputFidelity, ...]


def quantize_ptq(
    float_tflite: bytes,
    plan: PrecisionPlan,
    captures: CaptureSet | Sequence[Sample],
    *,
    method: CalibrationMethod = CalibrationMethod.WORST_CONDITION,
    target_runtime: str = "litert",
    allow_float: bool = False,
    allow_collapse: bool = False,
    progress: Progress | None = None,
) -> QuantizedGraph:
    """Quantize a float graph without training.

    Args:
        float_tflite: the float graph.
        plan: which layer computes in what.
        captures: calibration data, over all conditions.
        method: how INT8 ranges are chosen.
        target_runtime: the runtime of the board.
        allow_float: leave operations float that cannot have the planned type.
        allow_collapse: return a graph even if an output no longer resembles the float one.
        progress: told of calibration's steps.

    Raises:
        DataError: graph or data are wrong.
        RecipeError: the plan names no layer.
        QuantizationError: the graph cannot be produced as planned, or collapsed.
    """
    ranges = calibrate(float_tflite, captures, method, progress)
    model = produce(float_tflite, plan, ranges, target_runtime, allow_float=allow_float)
    outputs = fidelity(float_tflite, model, captures)
    if not allow_collapse:
        refuse_collapse(outputs)
    return QuantizedGraph(model, plan, ranges, outputs)
