"""Boundaries for tflite-runtime 2.14, which refuses QUANTIZE from INT8 to INT16 (its ``quantize.cc``, line 136).

Owns one FlatBuffer pass: such a QUANTIZE becomes DEQUANTIZE and QUANTIZE through float. The values are the same to
the last step (INT16 holds every INT8 value at its scale); on an NPU both fall to the CPU, so a LiteRT board gets the
graph without it.
"""

from __future__ import annotations

from typing import Any

from firmware_bridge.device.graph import Graph
from firmware_bridge.device.runtime import op_table
from models.quant import editing

__all__ = ["bridged"]

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


def _float_copy(subgraph: Any, source: int) -> int:
    """Add a float tensor beside tensor ``source`` and return its index."""
    from ai_edge_litert import schema_py_generated as schema

    tensor = schema.TensorT()
    original = subgraph.tensors[source]
    tensor.name, tensor.shape, tensor.buffer = original.name + b"_bridge", original.shape, 0
    tensor.type, tensor.hasRank = schema.TensorType.FLOAT32, True
    subgraph.tensors.append(tensor)
    return len(subgraph.tensors) - 1
