"""The one adapter to ai-edge-quantizer: what it takes, what it supports, its errors in ours.

Owns: writing an integer graph from a float one, given a precision for each operation and a range for each activation.
The library's own calibration (a moving average) and its defaults are not used.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from models.errors import QuantizationError
from models.quant.plan import Precision
from models.quant.ranges import TensorRange

__all__ = ["FP16_OPS", "Assignment", "quantize", "supported_ops"]

FP16_OPS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
"""Operations whose weights can be stored as 16-bit floats; others have none."""

_POLICIES = {Precision.INT8: "static_wi8_ai8", Precision.INT16: "static_wi8_ai16"}
# The library's names that differ from TFLite's.
_TFLITE_NAMES = {"CONV_2D_TRANSPOSE": "TRANSPOSE_CONV"}
_VIRTUAL = frozenset({"INPUT", "OUTPUT", "STABLEHLO_COMPOSITE"})


@dataclass(frozen=True, slots=True)
class Assignment:
    """One operation of the float graph and what it shall compute in.

    Attributes:
        outputs: names of its output tensors; they identify it.
        precision: its precision.
    """

    outputs: tuple[str, ...]
    precision: Precision


@cache
def supported_ops(precision: Precision) -> frozenset[str]:
    """Return the TFLite names of the operations that can be written in an integer ``precision``."""
    from ai_edge_quantizer import default_policy

    policy = json.loads(default_policy.DEFAULT_JSON_POLICY)["ops_per_config"][_POLICIES[precision]]
    return frozenset(_TFLITE_NAMES.get(op, op) for op in policy) - _VIRTUAL


def quantize(
    model: bytes,
    assignments: Sequence[Assignment],
    ranges: Mapping[str, TensorRange],
    *,
    integer_inputs: bool = True,
) -> bytes:
    """Write the graph.

    Args:
        model: float .tflite with a signature and distinct tensor names.
        assignments: one for every operation; an operation that is left out stays float.
        ranges: a checked range for every float activation, by tensor name.
        integer_inputs: whether the graph takes INT8 instead of float.

    Returns:
        The graph; float outputs are still dequantized at the end.

    Raises:
        QuantizationError: the library refuses it.
    """
    from ai_edge_quantizer import qtyping, quantizer

    every = qtyping.TFLOperationName.ALL_SUPPORTED
    try:
        work = quantizer.Quantizer(model)
        work.update_quantization_recipe(".*", every, algorithm_key=quantizer.AlgorithmName.NO_QUANTIZE)
        if integer_inputs:
            work.add_static_config(".*", qtyping.TFLOperationName.INPUT, 8, 8)
        for assignment in assignments:
            _add(work, assignment, every)
        with warnings.catch_warnings():
            # The library checks its statistics in an interpreter that keeps all tensors, and warns of its own choice.
            warnings.simplefilter("ignore", UserWarning)
            result = work.quantize(_statistics(assignments, ranges), enable_progress_report=False)
    except (RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise QuantizationError(f"ai-edge-quantizer refuses the graph: {' '.join(str(error).split())}") from error
    if result.quantized_model is None:
        raise QuantizationError("ai-edge-quantizer returned no graph")
    return bytes(result.quantized_model)


def _add(work: Any, assignment: Assignment, every: Any) -> None:
    """Add one operation to the recipe. Its scope is its outputs' names, each followed by a semicolon."""
    from ai_edge_quantizer import qtyping, quantizer

    scope = "^" + ";".join(re.escape(name) for name in assignment.outputs) + ";?$"
    if assignment.precision.integer:
        work.add_static_config(scope, every, assignment.precision.bits, 8)
    elif assignment.precision is Precision.FP16:
        weights = qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)
        config = qtyping.OpQuantizationConfig(
            weight_tensor_config=weights, compute_precision=qtyping.ComputePrecision.FLOAT, explicit_dequantize=True
        )
        for name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "CONV_2D_TRANSPOSE"):
            work.update_quantization_recipe(
                scope, qtyping.TFLOperationName[name], config, quantizer.AlgorithmName.FLOAT_CASTING
            )


def _statistics(assignments: Sequence[Assignment], ranges: Mapping[str, TensorRange]) -> dict[str, Any]:
    """Return the ranges as the library takes them: the full range for what is only ever INT16."""
    import numpy as np

    wide = {name for a in assignments if a.precision is Precision.INT16 for name in a.outputs}
    found = {}
    for name, span in ranges.items():
        low, high = (span.full_low, span.full_high) if name in wide else (span.low, span.high)
        found[name] = {"min": np.array([low], np.float32), "max": np.array([high], np.float32)}
    return found
