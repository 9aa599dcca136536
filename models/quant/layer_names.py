"""By which names a plan may call the operations of a converted graph.

TFLite keeps the paths of the Keras layers that were fused into an operation in the name of its output tensor:
``functional_1/eo_stem_act_1/Relu6;functional_1/eo_stem_1/convolution`` is a convolution called ``eo_stem`` and its
activation ``eo_stem_act``; tracing adds the ``_1``. A graph's output loses its path, and is called by the signature.
"""

from __future__ import annotations

import re

from firmware_bridge.device.graph import Graph, GraphOp

__all__ = ["names_of", "operation_names", "tensor_names"]

_TRACED = re.compile(r"_\d+$")


def operation_names(graph: Graph) -> dict[int, tuple[str, ...]]:
    """Return the names of each operation by its index, the most telling first."""
    returned = {tensor.index: tensor.name for tensor in graph.outputs}
    return {op.index: _op_names(op, graph, returned) for op in graph.ops}


def tensor_names(graph: Graph) -> dict[int, tuple[str, ...]]:
    """Return the names of each activation by its tensor's index, the most telling first."""
    named = {t.index: (t.name,) for t in (*graph.inputs, *graph.outputs)}
    return {
        tensor.index: (*named.get(tensor.index, ()), *names_of(tensor.name))
        for tensor in graph.tensors
        if not tensor.constant
    }


def names_of(tensor: str) -> tuple[str, ...]:
    """Return the layer names in a tensor's name, with and without tracing's suffix, then the whole name."""
    found: list[str] = []
    for part in tensor.split(";"):
        if part.isdigit():  # the converter counts copies of one name
            continue
        path = part.split("/")
        # The first step is the model, the last one the operation inside the layer.
        layers = path[1:-1] if len(path) > 2 else path[:1]
        for layer in layers:
            found += [_TRACED.sub("", layer), layer]
        if len(layers) > 1:
            found += ["/".join(_TRACED.sub("", layer) for layer in layers), "/".join(layers)]
    return tuple(dict.fromkeys([*found, tensor]))


def _op_names(op: GraphOp, graph: Graph, returned: dict[int, str]) -> tuple[str, ...]:
    outputs = tuple(returned[index] for index in op.outputs if index in returned)
    return tuple(dict.fromkeys([*outputs, *(name for i in op.outputs for name in names_of(graph.tensors[i].name))]))
