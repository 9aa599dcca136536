"""What runtimes refuse in a well-formed integer graph, written as something equal that they take.

tflite-runtime 2.14 refuses QUANTIZE from INT8 to INT16 (its ``quantize.cc``, line 136): `bridged` makes it DEQUANTIZE
and QUANTIZE through float. The values are the same to the last step (INT16 holds every INT8 value at its scale); on an
NPU both fall to the CPU, so a LiteRT board gets the graph without it.

Every runtime refuses a fused RELU6 whose 6 is beyond 32 bits in steps of its output (``kernel_util.cc``,
"no_integer_overflow_from_quantization"), as networks have whose activations fade: `unclamped` makes it RELU, which
clips at the same end of the grid.
"""

from __future__ import annotations

from typing import Any

from firmware_bridge.device.graph import Graph
from firmware_bridge.device.runtime import op_table
from models.quant import editing

__all__ = ["bridged", "unclamped"]

_REFUSED = "QUANTIZE:INT8_INT16"


def bridged(model: bytes, target_runtime: str) -> bytes:
    """Return an equal graph whose boundaries ``target_runtime`` runs; unchanged where it runs them as they are."""
    graph = Graph.parse(model)
    positions = [op.index for op in graph.ops if op.type == _REFUSED]
    if not positions or _REFUSED in op_table(target_runtime):
        return model
    edited = editing.read_model(model)
    subgraph = edited.subgraphs[0]
    through: dict[int, int] = {}  # one float copy of a tensor serves all its boundaries
    operators = []
    for position, op in enumerate(subgraph.operators):
        if position in positions:
            source = int(op.inputs[0])
            if source not in through:
                through[source] = _float_copy(subgraph, source)
                operators.append(editing.add_dequantize(edited, source, through[source]))
            op.inputs = [through[source]]
        operators.append(op)
    subgraph.operators = operators
    return editing.write_model(edited)


def unclamped(model: Any) -> None:
    """Take fused clamps that lie far beyond their output's grid out of an object form."""
    from ai_edge_litert import schema_py_generated as schema

    kinds = schema.ActivationFunctionType
    without = {kinds.RELU6: kinds.RELU, kinds.RELU_N1_TO_1: kinds.NONE}
    for op in model.subgraphs[0].operators:
        fused = getattr(op.builtinOptions, "fusedActivationFunction", kinds.NONE)
        output = model.subgraphs[0].tensors[int(op.outputs[0])].quantization
        scales = None if output is None else output.scale
        if fused in without and scales is not None and len(scales) == 1 and float(scales[0]) < _FINEST_CLAMPED:
            op.builtinOptions.fusedActivationFunction = without[fused]


# The largest clamp in 2^30 steps; a grid this fine ends below 6 and below 1 anyway.
_FINEST_CLAMPED = 6 / 2**30


def _float_copy(subgraph: Any, source: int) -> int:
    """Add a float tensor beside tensor ``source`` and return its index."""
    from ai_edge_litert import schema_py_generated as schema

    tensor = schema.TensorT()
    original = subgraph.tensors[source]
    tensor.name, tensor.shape, tensor.buffer = original.name + b"_bridge", original.shape, 0
    tensor.type, tensor.hasRank = schema.TensorType.FLOAT32, True
    subgraph.tensors.append(tensor)
    return len(subgraph.tensors) - 1
