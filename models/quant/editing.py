"""Editing a .tflite through its object form: what both directions of a conversion need done by hand.

Owns: making a foreign float graph fit for quantizing (names, signature, fp16 weights), and making a produced graph's
outputs integer. Every edit gives the same bytes for the same bytes. Knows nothing of plans or ranges.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from models.errors import QuantizationError

__all__ = ["add_constant", "fit_for_quantizing", "integer_outputs", "read_model", "remove_ops", "write_model"]

_SIGNATURE = "serving_default"


def read_model(data: bytes) -> Any:
    """Return the object form (the schema's ``ModelT``) of a graph that `Graph.parse` accepts.

    Constants that the file keeps behind its FlatBuffer, as the quantizer writes them, are taken in: `write_model`
    would lose them.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(bytearray(data), 0)
    for buffer in model.buffers:
        if buffer.offset > 1:
            buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
        buffer.offset = buffer.size = 0
    return model


def write_model(model: Any) -> bytes:
    """Return the bytes of an object form; equal objects give equal bytes."""
    import flatbuffers

    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def fit_for_quantizing(data: bytes) -> bytes:
    """Return an equal float graph with a signature, distinct tensor names and 32-bit weights.

    Graphs from elsewhere often lack the first, and keep 16-bit float weights behind DEQUANTIZE, which the quantizer
    does not look through. A graph that needs nothing comes back as it was.

    Raises:
        QuantizationError: a weight behind DEQUANTIZE cannot be unfolded.
    """
    model = read_model(data)
    changed = [_unfold_weights(model), _name_tensors(model), _sign(model)]
    return write_model(model) if any(changed) else data


def _unfold_weights(model: Any) -> bool:
    """Replace DEQUANTIZE of a 16-bit constant by a 32-bit constant."""
    subgraph, codes = model.subgraphs[0], _codes(model)
    folded = []
    for position, op in enumerate(subgraph.operators):
        source = subgraph.tensors[op.inputs[0]] if codes[op.opcodeIndex] == "DEQUANTIZE" else None
        stored = None if source is None else model.buffers[source.buffer].data
        if source is None or stored is None or source.type != _tensor_type("FLOAT16"):
            continue
        if len(stored) % 2:
            raise QuantizationError(f"the 16-bit weights {_text(source.name)!r} have an odd number of bytes")
        target = subgraph.tensors[op.outputs[0]]
        target.buffer = add_constant(model, np.frombuffer(bytes(stored), np.float16).astype(np.float32))
        folded.append(position)
    remove_ops(subgraph, folded)
    return bool(folded)


def _name_tensors(model: Any) -> bool:
    """Give every tensor a name of its own: the quantizer keys ranges by it."""
    seen: set[str] = set()
    changed = False
    for index, tensor in enumerate(model.subgraphs[0].tensors):
        name = _text(tensor.name) or f"tensor_{index}"
        if name in seen:
            name = f"{name}#{index}"
        if name != _text(tensor.name):
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
    entry.name, entry.tensorIndex = _text(subgraph.tensors[index].name).replace(":", "_"), int(index)
    return entry


def integer_outputs(data: bytes) -> bytes:
    """Return the graph with each DEQUANTIZE at its end removed, so that outputs are the integers themselves.

    All constants stand inside the FlatBuffer then.
    """
    model = read_model(data)
    subgraph, codes = model.subgraphs[0], _codes(model)
    outputs = {int(index) for index in subgraph.outputs}
    consumed = {int(index) for op in subgraph.operators for index in op.inputs}
    replaced: dict[int, int] = {}
    removed = []
    for position, op in enumerate(subgraph.operators):
        if codes[op.opcodeIndex] == "DEQUANTIZE" and int(op.outputs[0]) in outputs - consumed:
            replaced[int(op.outputs[0])] = int(op.inputs[0])
            removed.append(position)
    remove_ops(subgraph, removed)
    subgraph.outputs = np.array([replaced.get(int(i), int(i)) for i in subgraph.outputs], np.int32)
    for signature in model.signatureDefs or []:
        for entry in signature.outputs:
            entry.tensorIndex = replaced.get(entry.tensorIndex, entry.tensorIndex)
    return write_model(model)


def remove_ops(subgraph: Any, positions: list[int]) -> None:
    """Remove the operations at ``positions`` from a subgraph's object form."""
    gone = set(positions)
    subgraph.operators = [op for index, op in enumerate(subgraph.operators) if index not in gone]


def _codes(model: Any) -> list[str]:
    """Return the name of each operator code."""
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    return [names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]


def _tensor_type(name: str) -> int:
    from ai_edge_litert import schema_py_generated as schema

    return int(getattr(schema.TensorType, name))


def add_constant(model: Any, values: Any) -> int:
    """Add the bytes of an array to an object form; returns the buffer's index, for a tensor to refer to."""
    from ai_edge_litert import schema_py_generated as schema

    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def _text(name: bytes | str | None) -> str:
    return name.decode() if isinstance(name, bytes) else name or ""
