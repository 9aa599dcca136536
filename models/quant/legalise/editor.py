"""Writing operations in the place of another one, in a graph's object form. Knows no rule of what to write."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.quant import editing

__all__ = ["Editor", "Place"]

RELU = 1
"""Fused activation by the schema's number (``ActivationFunctionType``)."""


class Editor:
    """A graph that is being rewritten.

    Attributes:
        model: its object form.
    """

    def __init__(self, model: Any) -> None:
        """Edit ``model`` in place."""
        self.model = model
        self._names = {editing.text(tensor.name) for tensor in self._tensors}

    @property
    def _tensors(self) -> Any:
        return self.model.subgraphs[0].tensors

    def shape(self, index: int) -> tuple[int, ...]:
        """Return a tensor's shape."""
        shape = self._tensors[index].shape
        return () if shape is None else tuple(int(size) for size in shape)

    def name(self, index: int) -> str:
        """Return a tensor's name."""
        return editing.text(self._tensors[index].name)

    def is_float(self, index: int) -> bool:
        """Tell whether a tensor holds 32-bit floats."""
        return bool(self._tensors[index].type == editing.tensor_type("FLOAT32"))

    def constant(self, index: int) -> NDArray[Any] | None:
        """Return a constant's value, None where the tensor is computed, or of another type than float32 or int32."""
        tensor = self._tensors[index]
        stored = self.model.buffers[tensor.buffer].data
        kinds = {editing.tensor_type("FLOAT32"): np.float32, editing.tensor_type("INT32"): np.int32}
        if index < 0 or stored is None or tensor.type not in kinds:
            return None
        return np.frombuffer(bytes(stored), kinds[tensor.type]).reshape(self.shape(index))

    def set_constant(self, index: int, value: NDArray[np.float32]) -> None:
        """Give a constant another value of its shape; tensors that shared its buffer keep the old one."""
        self._tensors[index].buffer = editing.add_constant(self.model, value)

    def add_constant(self, value: Any, name: str) -> int:
        """Add a constant, float32 or int32; returns its index."""
        array = np.asarray(value)
        array = array.astype(np.int32 if array.dtype.kind == "i" else np.float32)
        kind = "INT32" if array.dtype == np.int32 else "FLOAT32"
        return self._add(array.shape, kind, name, editing.add_constant(self.model, array))

    def add_tensor(self, shape: Sequence[int], name: str) -> int:
        """Add a float activation; returns its index."""
        return self._add(shape, "FLOAT32", name, 0)

    def _add(self, shape: Sequence[int], kind: str, name: str, buffer: int) -> int:
        """Add a tensor called ``name`` and a number, so that a plan calls its operation by the same layer."""
        from ai_edge_litert import schema_py_generated as schema

        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = [int(size) for size in shape], editing.tensor_type(kind), buffer
        count = 1
        while (unique := f"{name};{count}") in self._names:
            count += 1
        self._names.add(unique)
        tensor.name = unique
        self._tensors.append(tensor)
        return len(self._tensors) - 1

    def operation(self, kind: str, inputs: Sequence[int], output: int, **options: Any) -> Any:
        """Return an operation to be put into the graph; ``options`` are fields of its options in the schema."""
        from ai_edge_litert import schema_py_generated as schema

        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = self._code(kind), list(inputs), [output]
        name = _OPTIONS.get(kind)
        if name is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, name)
            operator.builtinOptions = getattr(schema, f"{name}T")()
            for field, value in options.items():
                setattr(operator.builtinOptions, field, value)
        return operator

    def _code(self, kind: str) -> int:
        from ai_edge_litert import schema_py_generated as schema

        number = getattr(schema.BuiltinOperator, kind)
        for index, code in enumerate(self.model.operatorCodes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == number:
                return index
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), 1
        self.model.operatorCodes.append(code)
        return len(self.model.operatorCodes) - 1


_OPTIONS = {
    "ADD": "AddOptions", "CONCATENATION": "ConcatenationOptions", "MEAN": "ReducerOptions", "MUL": "MulOptions",
    "PAD": "PadOptions", "RELU": None, "RESHAPE": "ReshapeOptions", "RSQRT": None, "SLICE": "SliceOptions",
    "SQRT": None, "SUB": "SubOptions", "TRANSPOSE": "TransposeOptions",
}  # fmt: skip


class Place:
    """One operation that is rewritten: what it reads and gives, and the operations that shall stand there.

    Attributes:
        editor: of the graph.
        inputs: tensors that it reads.
        outputs: tensors that it gives, which keep their indices and names.
        options: its options in the schema.
        written: what stands there instead, so far.
    """

    def __init__(self, editor: Editor, operator: Any) -> None:
        """Begin with nothing."""
        self.editor, self.options = editor, operator.builtinOptions
        self.inputs = [int(index) for index in operator.inputs]
        self.outputs = [int(index) for index in operator.outputs]
        self.written: list[Any] = []

    def shape(self, index: int) -> tuple[int, ...]:
        """Return a tensor's shape."""
        return self.editor.shape(index)

    def write(self, kind: str, inputs: Sequence[int], output: int | None = None, **options: Any) -> int:
        """Write an operation of activations; returns its output, a new tensor of the usual shape if none is given."""
        if output is None:
            shape = np.broadcast_shapes(*(self.shape(index) for index in inputs))
            output = self.new(shape)
        self.written.append(self.editor.operation(kind, inputs, output, **options))
        return output

    def new(self, shape: Sequence[int]) -> int:
        """Add an activation, named after what this operation gives."""
        return self.editor.add_tensor(shape, self.editor.name(self.outputs[0]))

    def value(self, value: Any) -> int:
        """Add a constant, float32 or int32."""
        return self.editor.add_constant(value, self.editor.name(self.outputs[0]))

    def reshape(self, source: int, shape: Sequence[int], output: int | None = None) -> int:
        """Write a RESHAPE."""
        output = self.new(shape) if output is None else output
        sizes = self.value(np.asarray(shape, np.int32))
        return self.write("RESHAPE", [source, sizes], output, newShape=[int(size) for size in shape])
