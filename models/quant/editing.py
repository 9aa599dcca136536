"""Editing a .tflite through its object form.

Owns: reading and writing that form, and its small parts. Every edit gives the same bytes for the same bytes. Knows
nothing of plans or ranges.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "add_constant",
    "add_dequantize",
    "float_constants",
    "old_operator_codes",
    "operator_names",
    "read_model",
    "remove_ops",
    "tensor_type",
    "text",
    "write_model",
]


def read_model(data: bytes) -> Any:
    """Return the object form (the schema's ``ModelT``) of a graph that `Graph.parse` accepts.

    Constants that the file keeps behind its FlatBuffer, as the quantizer writes them, are taken in: `write_model`
    would lose them. Operator codes stand in both fields, whichever one the file used.
    """
    model = _object_form(data)
    for buffer in model.buffers:
        if buffer.offset > 1:
            buffer.data = np.frombuffer(data, np.uint8, buffer.size, buffer.offset)
        buffer.offset = buffer.size = 0
    for code in model.operatorCodes:
        code.builtinCode, code.deprecatedBuiltinCode = _both_fields(code)
    return model


@lru_cache(maxsize=4)
def float_constants(data: bytes) -> Mapping[int, NDArray[np.float32]]:
    """Return the 32-bit float constants of a graph by their tensor's index, in their shapes; not to be changed."""
    model = read_model(data)
    floats = tensor_type("FLOAT32")
    return {
        index: np.frombuffer(bytes(model.buffers[tensor.buffer].data), np.float32).reshape(_shape(tensor))
        for index, tensor in enumerate(model.subgraphs[0].tensors)
        if tensor.type == floats and model.buffers[tensor.buffer].data is not None
    }


def _shape(tensor: Any) -> tuple[int, ...]:
    return () if tensor.shape is None else tuple(int(size) for size in tensor.shape)


def old_operator_codes(data: bytes) -> bool:
    """Tell whether a file has an operator in only one of its two fields, as converters before 2020 wrote it.

    The schema's rule is to take the larger of the two; readers that take the newer one see ADD (0) everywhere.
    """
    codes = _object_form(data).operatorCodes
    return any((code.builtinCode, code.deprecatedBuiltinCode) != _both_fields(code) for code in codes)


def _object_form(data: bytes) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(bytearray(data), 0)


def _both_fields(code: Any) -> tuple[int, int]:
    """Return the operator in the newer field, and in the older one, which ends at 127."""
    value = max(code.builtinCode, code.deprecatedBuiltinCode)
    return value, min(value, _LARGEST_OLD_CODE)


# The schema's PLACEHOLDER_FOR_GREATER_OP_CODES.
_LARGEST_OLD_CODE = 127


def write_model(model: Any) -> bytes:
    """Return the bytes of an object form; equal objects give equal bytes."""
    import flatbuffers

    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def remove_ops(subgraph: Any, positions: list[int]) -> None:
    """Remove the operations at ``positions`` from a subgraph's object form."""
    gone = set(positions)
    subgraph.operators = [op for index, op in enumerate(subgraph.operators) if index not in gone]


def operator_names(model: Any) -> list[str]:
    """Return the name of each operator code, by its index."""
    from ai_edge_litert import schema_py_generated as schema

    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    return [names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]


def tensor_type(name: str) -> int:
    """Return the schema's number of an element type, e.g. ``FLOAT32``."""
    from ai_edge_litert import schema_py_generated as schema

    return int(getattr(schema.TensorType, name))


def add_constant(model: Any, values: Any) -> int:
    """Add the bytes of an array to an object form; returns the buffer's index, for a tensor to refer to."""
    from ai_edge_litert import schema_py_generated as schema

    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def add_dequantize(model: Any, source: int, target: int) -> Any:
    """Return a DEQUANTIZE from tensor ``source`` to tensor ``target``, to be put among the operations."""
    from ai_edge_litert import schema_py_generated as schema

    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = _dequantize_code(model), [source], [target]
    operator.builtinOptionsType = schema.BuiltinOptions.DequantizeOptions
    operator.builtinOptions = schema.DequantizeOptionsT()
    return operator


def _dequantize_code(model: Any) -> int:
    """Return the index of DEQUANTIZE among the operator codes, adding it if it is not there."""
    from ai_edge_litert import schema_py_generated as schema

    wanted = schema.BuiltinOperator.DEQUANTIZE
    for index, code in enumerate(model.operatorCodes):
        if code.builtinCode == wanted:
            code.version = max(code.version, _INT8_VERSION)
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = wanted
    code.version = _INT8_VERSION
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


# DEQUANTIZE reads INT8 since its second version (TFLite's op_version.cc).
_INT8_VERSION = 2


def text(name: bytes | str | None) -> str:
    """Return a name of the object form as text."""
    return name.decode() if isinstance(name, bytes) else name or ""
