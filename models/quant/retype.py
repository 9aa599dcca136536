"""A float graph as it would be in other types: what a plan would cost, before anything is quantized.

Owns the same rules by which a quantizer writes a mixed graph, so that costs of the two agree: an operation's
activations have its type, integer operations keep 8-bit weights (and biases of 32 bits, in INT16 of 64), and where an
operation reads what another type wrote, one QUANTIZE (or DEQUANTIZE, to float) stands in between for each tensor and
type. An input has the type with most bits among the integer operations that read it. Writes no file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from firmware_bridge.device.graph import Graph, GraphOp, GraphTensor

__all__ = ["retyped"]

_ITEM = {"INT8": "int8", "INT16": "int16", "FLOAT32": "float32"}
_BIAS = {"INT8": "int32", "INT16": "int64"}


def retyped(graph: Graph, dtypes: Mapping[int, str]) -> Graph:
    """Return ``graph`` with operation ``i`` in ``dtypes[i]`` (``INT8``, ``INT16`` or ``FLOAT32``).

    Args:
        graph: a float graph.
        dtypes: the type of every operation by its index.
    """
    return _Writer(graph, dtypes).write()


class _Writer:
    """Copies operations one by one, following which type each tensor is in."""

    def __init__(self, graph: Graph, dtypes: Mapping[int, str]) -> None:
        self._graph, self._dtypes = graph, dtypes
        self._tensors = list(graph.tensors)
        self._ops: list[GraphOp] = []
        self._types: dict[int, str] = {}
        self._read: dict[tuple[int, str], int] = {}

    def write(self) -> Graph:
        for tensor in self._graph.inputs:
            if tensor.dtype == "float32":
                self._give(tensor.index, self._input_dtype(tensor.index))
        for op in self._graph.ops:
            self._copy(op)
        inputs, outputs = (
            tuple(replace(self._tensors[t.index], name=t.name) for t in side)
            for side in (self._graph.inputs, self._graph.outputs)
        )
        return replace(self._graph, inputs=inputs, outputs=outputs, tensors=tuple(self._tensors), ops=tuple(self._ops))

    def _input_dtype(self, index: int) -> str:
        read = {self._dtypes[op.index] for op in self._graph.ops if index in op.inputs}
        return next((dtype for dtype in ("INT16", "INT8") if dtype in read), "FLOAT32")

    def _give(self, index: int, dtype: str) -> None:
        self._types[index] = dtype
        self._tensors[index] = replace(self._tensors[index], dtype=_ITEM[dtype])

    def _copy(self, op: GraphOp) -> None:
        dtype = self._dtypes[op.index]
        inputs = tuple(self._as_read(index, position, op, dtype) for position, index in enumerate(op.inputs))
        for index in op.outputs:
            self._give(index, dtype)
        sources = [self._tensors[index] for index in inputs if index >= 0]
        self._append(
            replace(
                op,
                dtype=dtype,
                inputs=inputs,
                weight_bytes=sum(t.size_bytes for t in sources if t.constant),
                input_bytes=sum(t.size_bytes for t in sources if not t.constant),
                output_bytes=sum(self._tensors[index].size_bytes for index in op.outputs),
            )
        )

    def _as_read(self, index: int, position: int, op: GraphOp, dtype: str) -> int:
        """Return the tensor that an operation of ``dtype`` reads in place of ``index``."""
        if index < 0 or self._tensors[index].dtype == "int32":
            return index
        if self._graph.tensors[index].constant:
            return self._weight(index, op, dtype, bias=position == 2 and bool(op.macs))
        made = self._types.get(index, dtype)
        if made == dtype:
            return index
        if (index, dtype) not in self._read:
            self._read[index, dtype] = self._convert(index, made, dtype)
        return self._read[index, dtype]

    def _weight(self, index: int, op: GraphOp, dtype: str, *, bias: bool) -> int:
        """Weights are INT8 under integer activations; a constant that meets activations (ADD, MUL) has their type."""
        if dtype == "FLOAT32" or self._graph.tensors[index].dtype != "float32":
            return index
        item = _BIAS[dtype] if bias else "int8" if op.macs else _ITEM[dtype]
        key = (index, item)
        if key not in self._read:
            self._read[key] = self._add(replace(self._graph.tensors[index], dtype=item))
        return self._read[key]

    def _convert(self, index: int, made: str, dtype: str) -> int:
        source = self._tensors[index]
        target = self._add(replace(source, name=f"{source.name};as {dtype}", dtype=_ITEM[dtype]))
        read = self._tensors[target]
        self._append(
            GraphOp(
                index=len(self._ops),
                op="DEQUANTIZE" if dtype == "FLOAT32" else "QUANTIZE",
                dtype=f"{made}_{dtype}",
                inputs=(index,),
                outputs=(target,),
                name=read.name,
                macs=0,
                weight_bytes=0,
                input_bytes=source.size_bytes,
                output_bytes=read.size_bytes,
                output_elements=read.elements,
            )
        )
        return target

    def _add(self, tensor: GraphTensor) -> int:
        self._tensors.append(replace(tensor, index=len(self._tensors)))
        return len(self._tensors) - 1

    def _append(self, op: GraphOp) -> None:
        self._ops.append(replace(op, index=len(self._ops)))
