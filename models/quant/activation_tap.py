"""Every activation of a graph while it runs: for calibration and for finding where two graphs part.

Knows nothing of what the values are for. Runs on LiteRT, without delegates: these would keep activations to
themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph, GraphTensor
from firmware_bridge.device.runtime import Kernels, import_runtime
from firmware_bridge.errors import BoardError, InputError

__all__ = ["Probe"]


class Probe:
    """A loaded graph that keeps its activations. Not to be shared between threads."""

    def __init__(self, model: bytes, kernels: Kernels = Kernels.OPTIMISED) -> None:
        """Load ``model``, to run on ``kernels``.

        Raises:
            InputError: the bytes are not a graph, or LiteRT cannot prepare it.
            BenchError: LiteRT is not installed.
        """
        vendor = import_runtime("ai_edge_litert.interpreter", "ai-edge-litert", "board")
        self.graph = Graph.parse(model)
        self._model = model
        kinds = vendor.OpResolverType
        reference = kernels is Kernels.REFERENCE
        resolver = kinds.BUILTIN_REF if reference else kinds.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        try:
            self._interpreter = vendor.Interpreter(
                model_content=model,
                num_threads=1,
                experimental_op_resolver_type=resolver,
                experimental_preserve_all_tensors=True,
            )
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise InputError(f"litert cannot prepare the graph: {' '.join(str(error).split())}") from error
        self._activations = tuple(self._computed())

    def _computed(self) -> Iterator[GraphTensor]:
        """Yield inputs, then what operations write, in execution order."""
        yield from (self.graph.tensors[tensor.index] for tensor in self.graph.inputs)
        for op in self.graph.ops:
            yield from (self.graph.tensors[index] for index in op.outputs)

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Iterator[tuple[GraphTensor, NDArray[Any]]]:
        """Run once and yield each activation with its value, inputs first, in execution order.

        Args:
            inputs: each input by signature name, of exactly the graph's dtype and shape.

        Yields:
            The tensor under the graph's own name, and a copy of its value.

        Raises:
            InputError: an input is missing or does not fit.
            BoardError: the runtime failed.
        """
        try:
            for tensor in self.graph.inputs:
                self._interpreter.set_tensor(tensor.index, inputs[tensor.name])
        except (KeyError, ValueError) as error:
            raise InputError(f"the graph's input does not fit: {' '.join(str(error).split())}") from error
        try:
            self._interpreter.invoke()
        except RuntimeError as error:
            raise BoardError(f"litert failed while it ran the graph: {' '.join(str(error).split())}") from error
        for tensor in self._activations:
            yield tensor, self._interpreter.get_tensor(tensor.index)
