"""Activations of a float graph over a set: the extremes of every capture, and a sample of the values.

Runs the .tflite itself on LiteRT, so the measured tensors are the ones that get quantized. Measures only; judges
nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph
from firmware_bridge.errors import InputError
from models.captures import Capture, CaptureSet
from models.errors import DataError
from models.progress import Count
from models.quant.activation_tap import Probe
from models.quant.feeds import samples_of
from models.quant.fitting import fit_for_quantizing
from models.quant.layer_names import tensor_names
from models.quant.ranges import FIXED

__all__ = ["TensorTrace", "Tracer", "Traces"]

# Values sampled per activation and capture: enough for quantiles over a set, few enough for memory.
_KEPT = 256
# Operations that pass their input's values on: reporting them would repeat their input's line.
_HANDING_ON = frozenset({"RESHAPE", "TRANSPOSE", "EXPAND_DIMS", "SQUEEZE"})

Limits = Mapping[str, tuple[float, float]]
"""Minimum and maximum of each activation, by name."""


@dataclass(frozen=True, slots=True)
class TensorTrace:
    """One activation over n captures.

    Attributes:
        low: float64 [n], minimum in each capture.
        high: float64 [n], maximum in each capture.
        sample: float32 [n, k], a sample of each capture's values.
        outside: float64 [n], fraction of each capture's values outside the given limits; 0 without limits.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    sample: NDArray[np.float32]
    outside: NDArray[np.float64]


@dataclass(frozen=True)
class Traces:
    """The activations of a graph over a set.

    Attributes:
        captures: the captures of the set.
        tensors: traces by layer name, in execution order.
    """

    captures: tuple[Capture, ...]
    tensors: Mapping[str, TensorTrace]


class Tracer:
    """Traces a float graph."""

    def __init__(self, float_tflite: bytes) -> None:
        """Load the graph.

        Raises:
            DataError: it cannot be read, or is not a float graph.
        """
        try:
            Graph.parse(float_tflite)
            self._probe = Probe(fit_for_quantizing(float_tflite))
        except InputError as error:
            raise DataError(f"the float graph cannot be read: {error}") from error
        graph = self._probe.graph
        if any(tensor.dtype != "float32" for tensor in graph.inputs):
            raise DataError("activations are compared on the float graph, before quantization; this one takes integers")
        names = tensor_names(graph)
        left_out = {index for op in graph.ops if op.op in _HANDING_ON or op.op in FIXED for index in op.outputs}
        computed = {index for op in graph.ops for index in op.outputs if graph.tensors[index].dtype == "float32"}
        self._names = {index: names[index][0] for index in sorted(computed - left_out)}

    def trace(
        self,
        captures: CaptureSet,
        progress: Count | None = None,
        limits: Limits | None = None,
    ) -> Traces:
        """Run the graph over the set.

        Args:
            captures: the captures to run on.
            progress: called with (captures done, captures in all).
            limits: by name; values outside them are counted.

        Raises:
            DataError: the set is empty, does not fit the graph, or an activation is not finite.
        """
        samples = samples_of(captures, self._probe.graph)
        rows: dict[str, list[tuple[float, float, NDArray[np.float32], float]]] = {}
        for number in range(len(samples)):
            for tensor, value in self._probe.run(samples[number].feed):
                name = self._names.get(tensor.index)
                if name is not None and value.size:
                    rows.setdefault(name, []).append(_measured(value.ravel(), None if limits is None else limits[name]))
                    if not np.isfinite(rows[name][-1][:2]).all():
                        raise DataError(f"activation {name!r} is not finite on {captures.captures[number].id}")
            if progress is not None:
                progress(number + 1, len(samples))
        return Traces(captures.captures, {name: _trace(items) for name, items in rows.items()})


def _measured(
    flat: NDArray[np.float32], limits: tuple[float, float] | None
) -> tuple[float, float, NDArray[np.float32], float]:
    low, high = float(flat.min()), float(flat.max())
    positions = np.linspace(0, flat.size - 1, min(_KEPT, flat.size)).astype(np.intp)
    outside = 0.0
    if limits is not None and (low < limits[0] or high > limits[1]):
        outside = float(np.count_nonzero((flat < limits[0]) | (flat > limits[1])) / flat.size)
    return low, high, flat[positions], outside


def _trace(items: list[tuple[float, float, NDArray[np.float32], float]]) -> TensorTrace:
    low, high, sample, outside = zip(*items, strict=True)
    return TensorTrace(np.array(low), np.array(high), np.stack(sample), np.array(outside))
