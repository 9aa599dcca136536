"""Tensors between messages and arrays: what a host sends is checked against the graph before it is looked at.

NumPy is imported where it is used: it takes 20 MiB, which a board that only receives a package does without.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from firmware_bridge.agent.errors import UsageError
from firmware_bridge.device.graph import Graph, GraphTensor
from firmware_bridge.protocol.messages import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["arrays", "tensors", "zero_inputs"]


def arrays(graph: Graph, given: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """Return the arrays of a message's inputs, of exactly the graph's names, dtypes and shapes.

    Raises:
        UsageError: an input is missing, unknown, or of another dtype, shape or length.
    """
    expected = {tensor.name: tensor for tensor in graph.inputs}
    if given.keys() != expected.keys():
        names = ", ".join(sorted(given)) or "none"
        raise UsageError(f"the model takes the inputs {', '.join(expected)}; given: {names}")
    return {name: _array(spec, given[name]) for name, spec in expected.items()}


def zero_inputs(graph: Graph) -> dict[str, NDArray[Any]]:
    """Return inputs that all stand for real 0."""
    import numpy as np

    return {spec.name: np.full(spec.shape, spec.zero_point, dtype=spec.dtype) for spec in graph.inputs}


def tensors(values: Mapping[str, NDArray[Any]]) -> dict[str, Tensor]:
    """Return arrays as a message carries them: C order, little-endian."""
    return {name: _tensor(value) for name, value in values.items()}


def _array(spec: GraphTensor, given: Tensor) -> NDArray[Any]:
    if (given.dtype, given.shape) != (spec.dtype, spec.shape) or len(given.data) != spec.size_bytes:
        raise UsageError(
            f"input {spec.name} must be {spec.dtype} {list(spec.shape)}, {spec.size_bytes} bytes,"
            f" not {given.dtype[:20]} {list(given.shape)[:8]}, {len(given.data)} bytes"
        )
    import numpy as np

    little = np.dtype(spec.dtype).newbyteorder("<")
    return np.frombuffer(given.data, little).reshape(spec.shape).astype(spec.dtype, copy=False)


def _tensor(value: NDArray[Any]) -> Tensor:
    import numpy as np

    little = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
    return Tensor(value.dtype.name, value.shape, little.tobytes())
