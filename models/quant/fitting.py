"""Making a float graph from anywhere fit for quantizing, without changing what it computes.

Owns the differences between what converters write and what the quantizer takes: a signature, distinct names, 32-bit
weights that no two operations share, static shapes, no arithmetic on shapes, no operation that has no integer form but
could be written in others (`models.quant.legalise`). Every edit gives the same bytes for the
same bytes.
"""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from functools import lru_cache
from typing import Any

import numpy as np

from firmware_bridge.device.graph import Graph
from models.errors import DataError, QuantizationError
from models.quant import editing
from models.quant.activation_tap import Probe
from models.quant.legalise.legalise import Rewritten, legalise

__all__ = ["fit_for_quantizing", "rewritten"]

_SIGNATURE = "serving_default"
# Operations whose result is another one each time, or depends on more than their inputs.
_NOT_CONSTANT = frozenset({"RANDOM_STANDARD_NORMAL", "RANDOM_UNIFORM", "MULTINOMIAL", "VAR_HANDLE", "READ_VARIABLE"})
# Operations with weights, and at which of their inputs weights and bias stand.
_OWNERS = {
    "CONV_2D": (1, 2),
    "DEPTHWISE_CONV_2D": (1, 2),
    "FULLY_CONNECTED": (1, 2),
    "TRANSPOSE_CONV": (1, 3),
}


def fit_for_quantizing(data: bytes) -> bytes:
    """Return an equal float graph that the quantizer takes; a graph that needs nothing comes back as it was.

    Raises:
        DataError: the graph is quantized already.
        QuantizationError: a weight behind DEQUANTIZE cannot be unfolded.
    """
    return _fitted(data)[0]


def rewritten(data: bytes) -> tuple[Rewritten, ...]:
    """Return the operations of a float graph that `fit_for_quantizing` writes as others; see there for errors."""
    return _fitted(data)[1]


@lru_cache(maxsize=4)
def _fitted(data: bytes) -> tuple[bytes, tuple[Rewritten, ...]]:
    if editing.old_operator_codes(data):
        data = editing.write_model(editing.read_model(data))
    model = editing.read_model(data)
    _refuse_integers(model)
    changed = [_unfold_weights(model), _static(model), _name_tensors(model), _sign(model)]
    if any(changed):
        data = editing.write_model(model)
    folded = _fold_constants(data)
    model = editing.read_model(folded)
    rewrites, copied = legalise(model), _own_constants(model)
    return editing.write_model(model) if rewrites or copied else folded, rewrites


def _refuse_integers(model: Any) -> None:
    """Refuse a graph whose activations are on a grid already."""
    integers = {editing.tensor_type(name) for name in ("INT8", "UINT8", "INT16")}
    made = {int(index) for op in model.subgraphs[0].operators for index in op.outputs}
    for index in (*model.subgraphs[0].inputs, *sorted(made)):
        tensor = model.subgraphs[0].tensors[int(index)]
        scales = None if tensor.quantization is None else tensor.quantization.scale
        if tensor.type in integers and scales is not None and len(scales):
            raise DataError(
                f"the graph is quantized already: {editing.text(tensor.name)!r} has a scale; give its float parent"
            )


def _unfold_weights(model: Any) -> bool:
    """Replace DEQUANTIZE of a 16-bit constant by a 32-bit constant."""
    subgraph, codes = model.subgraphs[0], editing.operator_names(model)
    folded = []
    for position, op in enumerate(subgraph.operators):
        source = subgraph.tensors[op.inputs[0]] if codes[op.opcodeIndex] == "DEQUANTIZE" else None
        stored = None if source is None else model.buffers[source.buffer].data
        if source is None or stored is None or source.type != editing.tensor_type("FLOAT16"):
            continue
        if len(stored) % 2:
            raise QuantizationError(f"the 16-bit weights {editing.text(source.name)!r} have an odd number of bytes")
        target = subgraph.tensors[op.outputs[0]]
        target.buffer = editing.add_constant(model, np.frombuffer(bytes(stored), np.float16).astype(np.float32))
        folded.append(position)
    editing.remove_ops(subgraph, folded)
    return bool(folded)


def _static(model: Any) -> bool:
    """Take each dimension as it stands (-1 of a batch is 1), and drop leftovers of quantization from float tensors."""
    changed = False
    for tensor in model.subgraphs[0].tensors:
        if tensor.shapeSignature is not None:
            tensor.shapeSignature, changed = None, True
        if tensor.type == editing.tensor_type("FLOAT32") and tensor.quantization is not None:
            # Old converters leave minima and maxima of training here, or empty lists of scales.
            tensor.quantization, changed = None, True
    return changed


def _name_tensors(model: Any) -> bool:
    """Give every tensor a name of its own: the quantizer keys ranges by it."""
    seen: set[str] = set()
    changed = False
    for index, tensor in enumerate(model.subgraphs[0].tensors):
        name = editing.text(tensor.name) or f"tensor_{index}"
        if name in seen:
            name = f"{name}#{index}"
        if name != editing.text(tensor.name):
            tensor.name, changed = name, True
        seen.add(name)
    return changed


def _sign(model: Any) -> bool:
    """Add a signature that names inputs and outputs by their tensors, if there is none."""
    from ai_edge_litert import schema_py_generated as schema

    if model.signatureDefs:
        return False
    subgraph, signature = model.subgraphs[0], schema.SignatureDefT()
    signature.signatureKey, signature.subgraphIndex = _SIGNATURE, 0
    signature.inputs = [_entry(schema, subgraph, index) for index in subgraph.inputs]
    signature.outputs = [_entry(schema, subgraph, index) for index in subgraph.outputs]
    model.signatureDefs = [signature]
    return True


def _entry(schema: Any, subgraph: Any, index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = editing.text(subgraph.tensors[index].name).replace(":", "_"), int(index)
    return entry


def _fold_constants(data: bytes) -> bytes:
    """Replace what no input reaches (arithmetic on shapes, mostly) by its value."""
    graph = Graph.parse(data)
    fixed = {tensor.index for tensor in graph.tensors if tensor.constant}
    folded = []
    for op in graph.ops:
        read = () if op.op == "SHAPE" else op.inputs
        if (op.inputs or op.op == "RANGE") and op.op not in _NOT_CONSTANT and all(i in fixed or i < 0 for i in read):
            fixed |= set(op.outputs)
            folded.append(op)
    returned = {tensor.index for tensor in graph.outputs}
    folded = [op for op in folded if not returned & set(op.outputs)]
    if not folded:
        return data
    nothing = {tensor.name: np.zeros(tensor.shape, tensor.dtype) for tensor in graph.inputs}
    values = {tensor.index: value for tensor, value in Probe(data).run(nothing)}
    model = editing.read_model(data)
    for index in (index for op in folded for index in op.outputs):
        model.subgraphs[0].tensors[index].buffer = editing.add_constant(model, values[index])
        model.subgraphs[0].tensors[index].shape = np.array(values[index].shape, np.int32)
    editing.remove_ops(model.subgraphs[0], [op.index for op in folded])
    return editing.write_model(model)


def _own_constants(model: Any) -> bool:
    """Give each operation weights and a bias of its own: their grids follow from what it reads, and may differ."""
    subgraph, codes = model.subgraphs[0], editing.operator_names(model)
    readers = Counter(int(index) for op in subgraph.operators for index in op.inputs if index >= 0)
    holders = Counter(int(tensor.buffer) for tensor in subgraph.tensors)
    changed = False
    for position, op in enumerate(subgraph.operators):
        for place in _OWNERS.get(codes[op.opcodeIndex], ()):
            index = int(op.inputs[place]) if place < len(op.inputs) else -1
            if index < 0 or model.buffers[subgraph.tensors[index].buffer].data is None:
                continue
            if readers[index] > 1:
                readers[index] -= 1
                holders[int(subgraph.tensors[index].buffer)] += 1
                index = _copied(subgraph, index, position)
                op.inputs = [index if at == place else int(other) for at, other in enumerate(op.inputs)]
                changed = True
            tensor = subgraph.tensors[index]
            if holders[int(tensor.buffer)] > 1:
                holders[int(tensor.buffer)] -= 1
                tensor.buffer = editing.add_constant(model, np.asarray(model.buffers[tensor.buffer].data))
                holders[int(tensor.buffer)] = 1
                changed = True
    return changed


def _copied(subgraph: Any, index: int, position: int) -> int:
    """Add a copy of a tensor for the operation at ``position``; returns its index."""
    copy = deepcopy(subgraph.tensors[index])
    copy.name = f"{editing.text(copy.name)}#{position}"
    subgraph.tensors.append(copy)
    return len(subgraph.tensors) - 1
