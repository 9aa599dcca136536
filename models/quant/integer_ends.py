"""Inputs and outputs of a produced graph as the integers themselves, without a conversion at either end.

The quantizer writes a graph that takes and gives floats, with a QUANTIZE after each input for each type that reads it,
and a DEQUANTIZE before each output. A board feeds and reads integers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from models.quant import editing

__all__ = ["integer_inputs", "integer_outputs"]


def integer_inputs(model: Any) -> None:
    """Replace each float input of an object form by the widest integers that something reads it as.

    Readers of fewer bits, or of floats, get a conversion from those. An input that only float operations read stays
    float.
    """
    subgraph = model.subgraphs[0]
    replaced: dict[int, int] = {}
    for index in (int(index) for index in subgraph.inputs):
        widest = _quantized(model, index)
        if widest is None:
            continue
        target = int(widest.outputs[0])
        subgraph.operators = [op for op in subgraph.operators if op is not widest]
        _redirect(model, index, target)
        replaced[index] = target
    subgraph.inputs = np.array([replaced.get(int(i), int(i)) for i in subgraph.inputs], np.int32)
    for signature in model.signatureDefs or []:
        for entry in signature.inputs:
            entry.tensorIndex = replaced.get(entry.tensorIndex, entry.tensorIndex)


def _quantized(model: Any, index: int) -> Any | None:
    """Return the QUANTIZE of tensor ``index`` to most bits."""
    subgraph, codes = model.subgraphs[0], editing.operator_names(model)
    found = [op for op in subgraph.operators if codes[op.opcodeIndex] == "QUANTIZE" and int(op.inputs[0]) == index]
    wide = editing.tensor_type("INT16")
    return max(found, key=lambda op: subgraph.tensors[int(op.outputs[0])].type == wide, default=None)


def _redirect(model: Any, index: int, target: int) -> None:
    """Let conversions of the float input ``index`` read the integers ``target``, and float readers a DEQUANTIZE."""
    subgraph, codes = model.subgraphs[0], editing.operator_names(model)
    old, new = subgraph.tensors[index], subgraph.tensors[target]
    old.name, new.name = f"{editing.text(old.name)};as float", editing.text(old.name)
    as_float = False
    for op in subgraph.operators:
        if index not in [int(i) for i in op.inputs]:
            continue
        if codes[op.opcodeIndex] == "QUANTIZE":
            op.inputs = [target]
        else:
            as_float = True
    if as_float or index in [int(i) for i in subgraph.outputs]:
        subgraph.operators = [editing.add_dequantize(model, target, index), *subgraph.operators]


def integer_outputs(model: Any) -> None:
    """Remove each DEQUANTIZE at the end of an object form, so that its outputs are the integers themselves."""
    subgraph, codes = model.subgraphs[0], editing.operator_names(model)
    outputs = {int(index) for index in subgraph.outputs}
    consumed = {int(index) for op in subgraph.operators for index in op.inputs}
    replaced: dict[int, int] = {}
    removed = []
    for position, op in enumerate(subgraph.operators):
        if codes[op.opcodeIndex] == "DEQUANTIZE" and int(op.outputs[0]) in outputs - consumed:
            replaced[int(op.outputs[0])] = int(op.inputs[0])
            removed.append(position)
    editing.remove_ops(subgraph, removed)
    subgraph.outputs = np.array([replaced.get(int(i), int(i)) for i in subgraph.outputs], np.int32)
    for signature in model.signatureDefs or []:
        for entry in signature.outputs:
            entry.tensorIndex = replaced.get(entry.tensorIndex, entry.tensorIndex)
