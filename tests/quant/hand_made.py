"""A float graph written operation by operation, as no converter would give it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from models.quant import editing


class HandMade:
    """A graph in the making; tensors are named by their index."""

    def __init__(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self._schema, self._model, self._graph = schema, schema.ModelT(), schema.SubGraphT()
        self._model.version, self._model.subgraphs, self._model.buffers = 3, [self._graph], [schema.BufferT()]
        self._model.operatorCodes = []
        self._graph.tensors, self._graph.operators, self._graph.inputs = [], [], []

    def input(self, name: str, shape: Sequence[int]) -> int:
        self._graph.inputs.append(self._tensor(name, shape, "FLOAT32", 0))
        return self._graph.inputs[-1]

    def constant(self, name: str, value: np.ndarray) -> int:
        kind = "FLOAT32" if value.dtype == np.float32 else "INT32"
        return self._tensor(name, value.shape, kind, editing.add_constant(self._model, value))

    def operation(
        self,
        kind: str,
        inputs: Sequence[int],
        outputs: Sequence[tuple[str, Sequence[int]]],
        options: str = "",
        **fields: Any,
    ) -> list[int]:
        """Add an operation; returns its outputs. ``options`` is the schema's name of its options."""
        operator, code = self._schema.OperatorT(), self._schema.OperatorCodeT()
        code.builtinCode = getattr(self._schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
        self._model.operatorCodes.append(code)
        operator.opcodeIndex, operator.inputs = len(self._model.operatorCodes) - 1, list(inputs)
        operator.outputs = [self._tensor(name, shape, "FLOAT32", 0) for name, shape in outputs]
        if options:
            operator.builtinOptionsType = getattr(self._schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(self._schema, f"{options}T")()
            for name, value in fields.items():
                setattr(operator.builtinOptions, name, value)
        self._graph.operators.append(operator)
        return list(operator.outputs)

    def bytes(self, outputs: Sequence[int]) -> bytes:
        """Return the file, with these outputs."""
        self._graph.outputs = list(outputs)
        return editing.write_model(self._model)

    def _tensor(self, name: str, shape: Sequence[int], kind: str, buffer: int) -> int:
        tensor = self._schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, list(shape), buffer
        tensor.type = editing.tensor_type(kind)
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1
