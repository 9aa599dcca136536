"""From a float graph, a precision plan and ranges to the one integer graph that a board runs.

Owns: the order of the steps and the checks around them. The same inputs give the same bytes.

    fit (names, signature, fp16 weights) -> plan per operation -> ranges complete -> scales in range -> integer graph
      -> integer ends -> bridge for the target runtime -> lint of types and values
"""

from __future__ import annotations

from collections.abc import Mapping

from firmware_bridge.device.graph import Graph, GraphOp
from firmware_bridge.device.runtime import op_table
from firmware_bridge.errors import InputError
from models.errors import DataError, QuantizationError
from models.quant import editing, quantizer, runtime_compat
from models.quant.fitting import fit_for_quantizing
from models.quant.integer_ends import integer_inputs, integer_outputs
from models.quant.layer_names import operation_names
from models.quant.lint import lint
from models.quant.plan import Precision, PrecisionPlan
from models.quant.ranges import Ranges
from models.quant.scales import fit_scales
from models.quant.values import value_problems

__all__ = ["precisions", "produce", "written"]


def produce(
    float_tflite: bytes,
    plan: PrecisionPlan,
    ranges: Ranges,
    target_runtime: str = "litert",
    *,
    allow_float: bool = False,
) -> bytes:
    """Produce the graph.

    Args:
        float_tflite: a float graph of one signature, batch norm folded.
        plan: which layer computes in what.
        ranges: the range of each activation, inputs included, from calibration or from QAT.
        target_runtime: ``litert`` or ``tflite-runtime``; for the latter, boundaries that it refuses are bridged.
        allow_float: leave an operation float whose type cannot be had, instead of refusing.

    Returns:
        The graph: inputs in the type with most bits among the integer layers that read them, outputs in the type of
        the layer that computes them.

    Raises:
        RecipeError: a rule of the plan names no layer.
        QuantizationError: a type cannot be had, a range is missing, or the graph came out otherwise than planned.
        DataError: ``float_tflite`` is not a graph, or not a float one.
    """
    try:
        Graph.parse(float_tflite)  # the editor trusts its input; this does not
        fitted = fit_for_quantizing(float_tflite)
        graph = Graph.parse(fitted)
    except InputError as error:
        raise DataError(f"the float graph cannot be read: {error}") from error
    wanted = precisions(graph, plan, target_runtime, allow_float=allow_float)
    produced = written(fitted, graph, wanted, ranges, target_runtime)
    report = lint(Graph.parse(produced), plan, source=graph, allow_float=allow_float)
    if report.problems:
        raise QuantizationError(f"the graph came out otherwise than planned: {report.problems[0]}")
    return produced


def written(
    fitted: bytes, graph: Graph, wanted: Mapping[int, Precision], ranges: Ranges, target_runtime: str = "litert"
) -> bytes:
    """Write the integer graph of a float graph that is fit already; see `produce`, which checks its types too.

    Args:
        fitted: the float graph, made fit.
        graph: its view.
        wanted: the precision of each operation by its index.
        ranges: the range of each activation.
        target_runtime: the runtime of the board.

    Raises:
        QuantizationError: a range is missing, or a value came out as no kernel computes with.
    """
    integer = any(precision.integer for precision in wanted.values())
    scales = fit_scales(fitted, graph, wanted, ranges.complete(graph).tensors if integer else {})
    assignments = [
        quantizer.Assignment(tuple(graph.tensors[i].name for i in op.outputs), wanted[op.index], op.op)
        for op in graph.ops
    ]
    model = editing.read_model(quantizer.quantize(fitted, assignments, scales))
    integer_inputs(model)
    integer_outputs(model)
    runtime_compat.unclamped(model)
    constants = {graph.tensors[index].name: value for index, value in editing.float_constants(fitted).items()}
    problems = value_problems(model, constants)
    if problems:
        raise QuantizationError(f"the graph came out with values that no kernel computes with: {problems[0]}")
    return runtime_compat.bridged(editing.write_model(model), target_runtime)


def precisions(
    graph: Graph, plan: PrecisionPlan, target_runtime: str = "litert", *, allow_float: bool = False
) -> dict[int, Precision]:
    """Return the precision of each operation of the float ``graph`` by its index.

    Raises:
        RecipeError: a rule of the plan names no layer.
        QuantizationError: an operation cannot have the type that the plan asks for; the text says which ones can.
    """
    names = operation_names(graph)
    plan.check(names.values())
    runs = frozenset(op_table(target_runtime))
    found = {}
    for op in graph.ops:
        precision = plan.precision_of(*names[op.index])
        if not _possible(op, precision, runs) or _broken(op, precision, target_runtime, graph):
            if not allow_float:
                raise QuantizationError(_refusal(op, names[op.index], precision, target_runtime, runs))
            precision = Precision.FP32
        found[op.index] = precision
    return found


# Rank 3 through FULLY_CONNECTED with a scale a channel gives silent garbage there.
_FLAT_ONLY = frozenset({"tflite-runtime"})


def _possible(op: GraphOp, precision: Precision, runs: frozenset[str]) -> bool:
    """Return whether the quantizer can write, and the runtime can run, ``op`` in ``precision``."""
    if op.dtype != "FLOAT32" or not precision.integer:
        return True
    return op.op in quantizer.supported_ops(precision) and f"{op.op}:{precision.op_dtype}" in runs


def _broken(op: GraphOp, precision: Precision, runtime: str, graph: Graph) -> bool:
    deep = op.op == "FULLY_CONNECTED" and len(graph.tensors[op.inputs[0]].shape) > 2
    return deep and precision.integer and runtime in _FLAT_ONLY


def _refusal(op: GraphOp, names: tuple[str, ...], precision: Precision, runtime: str, runs: frozenset[str]) -> str:
    deep = _possible(op, precision, runs)  # the type is there, its shape is not
    legal = [p.value for p in Precision if not p.integer or (not deep and _possible(op, p, runs))]
    return (
        f"layer {names[0]!r}: {op.op}{' over more than two axes' if deep else ''} cannot be {precision.value} on"
        f" {runtime}; supported are {', '.join(legal)}; give it one of these in the plan, or allow float"
    )
