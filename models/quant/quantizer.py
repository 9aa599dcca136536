"""The one adapter to litert-quantizer: what it takes, what it supports, its errors in ours.

Owns: writing an integer graph from a float one, given a precision for each operation and a range for each activation.
The library's own calibration (a moving average) and its defaults are not used.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from models.errors import QuantizationError
from models.quant.plan import Precision
from models.quant.scales import Scales

__all__ = ["FP16_OPS", "Assignment", "quantize", "supported_ops"]

FP16_OPS = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
"""Operations whose weights can be stored as 16-bit floats; others have none."""

_POLICIES = {Precision.INT8: "static_wi8_ai8", Precision.INT16: "static_wi8_ai16"}
# The library's names that differ from TFLite's.
_TFLITE_NAMES = {"CONV_2D_TRANSPOSE": "TRANSPOSE_CONV"}
# Kernels that read only the first scale of a constant matrix: with a scale for each channel they give garbage.
_ONE_SCALE = frozenset({"BATCH_MATMUL"})
_VIRTUAL = frozenset({"INPUT", "OUTPUT", "STABLEHLO_COMPOSITE"})


@dataclass(frozen=True, slots=True)
class Assignment:
    """One operation of the float graph and what it shall compute in.

    Attributes:
        outputs: names of its output tensors; they identify it.
        precision: its precision.
        op: its TFLite name.
    """

    outputs: tuple[str, ...]
    precision: Precision
    op: str = ""


@cache
def supported_ops(precision: Precision) -> frozenset[str]:
    """Return the TFLite names of the operations that can be written in an integer ``precision``."""
    default_policy = _library("default_policy")

    policy = json.loads(default_policy.DEFAULT_JSON_POLICY)["ops_per_config"][_POLICIES[precision]]
    return frozenset(_TFLITE_NAMES.get(op, op) for op in policy) - _VIRTUAL


def quantize(model: bytes, assignments: Sequence[Assignment], scales: Scales) -> bytes:
    """Write the graph.

    Args:
        model: float .tflite, made fit.
        assignments: one for every operation; an operation that is left out stays float.
        scales: a checked range for every float activation, and bounds of weights.

    Returns:
        The graph; its inputs and outputs are still floats.

    Raises:
        QuantizationError: the library refuses it, or is not installed.
    """
    qtyping, quantizer = _library("qtyping"), _library("quantizer")
    every = qtyping.TFLOperationName.ALL_SUPPORTED
    try:
        work = quantizer.Quantizer(model)
        work.update_quantization_recipe(".*", every, algorithm_key=quantizer.AlgorithmName.NO_QUANTIZE)
        for assignment in assignments:
            _add(work, assignment, every)
        with warnings.catch_warnings():
            # The library checks its statistics in an interpreter that keeps all tensors, and warns of its own choice.
            warnings.simplefilter("ignore", UserWarning)
            result = work.quantize(_statistics(scales), enable_progress_report=False)
    except (RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise QuantizationError(f"litert-quantizer refuses the graph: {' '.join(str(error).split())}") from error
    if result.quantized_model is None:
        raise QuantizationError("litert-quantizer returned no graph")
    return bytes(result.quantized_model)


def _library(module: str) -> Any:
    """Return one of the library's modules."""
    return import_module(f"litert_quantizer.{module}")


def _add(work: Any, assignment: Assignment, every: Any) -> None:
    """Add one operation to the recipe. Its scope is its outputs' names, each followed by a semicolon."""
    qtyping, quantizer = _library("qtyping"), _library("quantizer")

    scope = "^" + ";".join(re.escape(name) for name in assignment.outputs) + ";?$"
    if assignment.precision.integer:
        kinds = qtyping.QuantGranularity
        granularity = kinds.TENSORWISE if assignment.op in _ONE_SCALE else kinds.CHANNELWISE
        work.add_static_config(scope, every, assignment.precision.bits, 8, weight_granularity=granularity)
    elif assignment.precision is Precision.FP16:
        weights = qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT)
        config = qtyping.OpQuantizationConfig(
            weight_tensor_config=weights, compute_precision=qtyping.ComputePrecision.FLOAT, explicit_dequantize=True
        )
        for name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "CONV_2D_TRANSPOSE"):
            work.update_quantization_recipe(
                scope, qtyping.TFLOperationName[name], config, quantizer.AlgorithmName.FLOAT_CASTING
            )


def _statistics(scales: Scales) -> dict[str, Any]:
    """Return ranges and weight bounds as the library takes them."""
    import numpy as np

    found = {}
    for name, (low, high) in scales.spans.items():
        found[name] = {"min": np.array([low], np.float32), "max": np.array([high], np.float32)}
    for name, bounds in scales.weights.items():
        found[name] = {"min": -bounds.astype(np.float32), "max": bounds.astype(np.float32)}
    return found
