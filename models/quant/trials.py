"""Running candidates in a process of their own, because a kernel that cannot compute a graph may end its process.

Owns: the outputs of a produced graph over samples, and the name of the operation that a process did not survive.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph
from firmware_bridge.device.isolated import IsolatedRuntime, IsolatedSession, RuntimeEndedError
from firmware_bridge.device.runtime import Kernels
from firmware_bridge.errors import BoardError, InputError
from models.errors import QuantizationError
from models.quant import editing
from models.quant.feeds import Sample, dequantized, quantized
from models.quant.layer_names import operation_names

__all__ = ["Trials"]

_RUNTIME = "litert"


class Trials:
    """A process that runs one graph after another; use it in a ``with`` statement."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._session: IsolatedSession | None = None

    def outputs(
        self, model: bytes, samples: Sequence[Sample], kernels: Kernels = Kernels.OPTIMISED
    ) -> list[dict[str, NDArray[np.float32]]]:
        """Return the outputs of ``model`` as floats, by name, for each sample.

        Raises:
            QuantizationError: no kernel prepares or runs it; the text names the operation where that ends the process.
        """
        try:
            graph = self._load(model, kernels)
            assert self._session is not None
            return [dequantized(self._session.run(quantized(sample.feed, graph)), graph) for sample in samples]
        except RuntimeEndedError as error:
            self.close()
            raise QuantizationError(f"{_RUNTIME} does not survive it: {_fatal(model, samples[0], kernels)}") from error
        except (BoardError, InputError) as error:
            self.close()
            raise QuantizationError(str(error)) from error

    def _load(self, model: bytes, kernels: Kernels) -> Graph:
        if self._session is not None:
            self._session.replace(model, kernels)
            return self._session.graph
        try:
            self._session = IsolatedSession(_RUNTIME, model, kernels)
        except InputError as error:
            raise (error.__cause__ if isinstance(error.__cause__, RuntimeEndedError) else error) from error
        return self._session.graph

    def close(self) -> None:
        """End the process, if one runs."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _fatal(model: bytes, sample: Sample, kernels: Kernels) -> str:
    """Return the operation that ends the process, found by running ever shorter beginnings of the graph."""
    graph = Graph.parse(model)
    survived, ended = 0, len(graph.ops)
    while ended - survived > 1:
        middle = (survived + ended) // 2
        if _survives(_beginning(model, graph, middle), sample, kernels):
            survived = middle
        else:
            ended = middle
    op = graph.ops[ended - 1]
    return f"{op.op} {operation_names(graph)[op.index][0]!r} ends the process"


def _survives(model: bytes, sample: Sample, kernels: Kernels) -> bool:
    try:
        with IsolatedRuntime(_RUNTIME).load(model, kernels) as session:
            session.run(quantized(sample.feed, session.graph))
    except RuntimeEndedError:
        return False
    except InputError as error:  # refused is not ended, but the process may have ended while it loaded
        return not isinstance(error.__cause__, RuntimeEndedError)
    except BoardError:
        return True
    return True


def _beginning(model: bytes, graph: Graph, count: int) -> bytes:
    """Return the graph of the first ``count`` operations; what they leave unread is returned."""
    edited = editing.read_model(model)
    subgraph = edited.subgraphs[0]
    subgraph.operators = subgraph.operators[:count]
    kept = graph.ops[:count]
    read = {index for op in kept for index in op.inputs}
    left = [index for op in kept for index in op.outputs if index not in read]
    subgraph.outputs = np.array(left, np.int32)
    signature = edited.signatureDefs[0]
    signature.outputs = [_entry(position, index) for position, index in enumerate(left)]
    return editing.write_model(edited)


def _entry(position: int, index: int) -> Any:
    from ai_edge_litert import schema_py_generated as schema

    entry = schema.TensorMapT()
    entry.name, entry.tensorIndex = f"left_{position}", index
    return entry
