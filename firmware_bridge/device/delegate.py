"""External delegates: the library of an NPU's vendor that takes operations of a graph over from the runtime.

Owns which operations a delegate took, worked out from the runtime's own list of nodes. Knows no vendor.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from firmware_bridge.device.graph import Graph
from firmware_bridge.errors import BenchError

__all__ = ["delegated_ops", "load_external"]

_DELEGATE_NODE = "DELEGATE"


def load_external(vendor: Any, library: Path) -> Any:
    """Load a delegate's library with the runtime's Python module ``vendor``.

    Raises:
        BenchError: it is missing, or is not an external delegate for this machine.
    """
    try:
        ctypes.CDLL(str(library))  # first by itself: the runtime's own wrapper complains again when it is collected
        return vendor.load_delegate(str(library))
    except (OSError, ValueError, AttributeError, RuntimeError) as error:
        why = " ".join(str(error).split())
        raise BenchError(f"the delegate {library} cannot be loaded: {why}; is it built for this board?") from error


def delegated_ops(graph: Graph, nodes: Iterable[Mapping[str, Any]]) -> tuple[int, ...]:
    """Return the indices of the graph's operations that delegates took, sorted.

    A delegate's node stands for the operations between its inputs and its outputs, which stay in the list beside it.

    Args:
        graph: the graph.
        nodes: the interpreter's nodes, each with ``op_name``, ``inputs`` and ``outputs`` (indices of tensors).
    """
    producer = {tensor: op.index for op in graph.ops for tensor in op.outputs}
    taken: set[int] = set()
    for node in nodes:
        if node["op_name"] != _DELEGATE_NODE:
            continue
        known, left = {int(i) for i in node["inputs"]}, [int(i) for i in node["outputs"]]
        while left:
            tensor = left.pop()
            if tensor in known or tensor not in producer:
                continue
            known.add(tensor)
            taken.add(producer[tensor])
            left.extend(graph.ops[producer[tensor]].inputs)
    return tuple(sorted(taken))
