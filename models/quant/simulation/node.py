"""The operations of a float graph with what running them takes: options, shapes and constants. Runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph, GraphOp
from models.quant import editing

__all__ = ["Node", "nodes_of"]


@dataclass(frozen=True)
class Node:
    """One operation.

    Attributes:
        op: the operation in the graph's view.
        options: the schema's builtin options, None if it has none.
        moving: tensors that it reads and that are computed, in order.
        positions: for each of ``moving`` its position among the operation's inputs.
        shapes: shape of each input by position; () where one is absent.
        output_shapes: shape of each output.
        output_dtypes: NumPy name of each output's type.
        constants: constant inputs by position.
    """

    op: GraphOp
    options: Any
    moving: tuple[int, ...]
    positions: tuple[int, ...]
    shapes: tuple[tuple[int, ...], ...]
    output_shapes: tuple[tuple[int, ...], ...]
    output_dtypes: tuple[str, ...]
    constants: Mapping[int, NDArray[Any]]

    @property
    def kind(self) -> str:
        """TFLite name of the operation."""
        return self.op.op

    @property
    def activation(self) -> int:
        """The fused activation, 0 for none (the schema's ``ActivationFunctionType``)."""
        return int(getattr(self.options, "fusedActivationFunction", 0) or 0)


def nodes_of(float_tflite: bytes) -> tuple[Graph, tuple[Node, ...]]:
    """Return the graph's view and its operations in execution order."""
    graph, model = Graph.parse(float_tflite), editing.read_model(float_tflite)
    computed = {tensor.index for tensor in graph.inputs} | {index for op in graph.ops for index in op.outputs}
    return graph, tuple(_node(op, graph, model, computed) for op in graph.ops)


def _node(op: GraphOp, graph: Graph, model: Any, computed: set[int]) -> Node:
    present = [(position, index) for position, index in enumerate(op.inputs) if index >= 0]
    moving = [(position, index) for position, index in present if index in computed]
    return Node(
        op=op,
        options=model.subgraphs[0].operators[op.index].builtinOptions,
        moving=tuple(index for _, index in moving),
        positions=tuple(position for position, _ in moving),
        shapes=tuple(graph.tensors[index].shape if index >= 0 else () for index in op.inputs),
        output_shapes=tuple(graph.tensors[index].shape for index in op.outputs),
        output_dtypes=tuple(graph.tensors[index].dtype for index in op.outputs),
        constants={position: _value(graph, model, index) for position, index in present if index not in computed},
    )


def _value(graph: Graph, model: Any, index: int) -> NDArray[Any]:
    tensor = graph.tensors[index]
    stored = model.buffers[model.subgraphs[0].tensors[index].buffer].data
    return np.frombuffer(b"" if stored is None else bytes(stored), np.dtype(tensor.dtype)).reshape(tensor.shape)
