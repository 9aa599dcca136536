"""The range of each activation: what calibration measured or QAT trained. A small JSON file.

Owns: the values, their file, their checks, and completing them over operations that only move data or whose range
is fixed by their mathematics. Does not measure anything.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.device.graph import Graph, GraphOp
from models.errors import DataError, QuantizationError
from models.records import RecordFile

__all__ = ["FIXED", "Ranges", "TensorRange"]

# Beyond this a scale's reciprocal, or the product of two scales, leaves 32-bit floats.
_LARGEST = 1e18
_ALWAYS_ZERO = 1e-20
# The quantizer widens what is narrower than 1e-9, on one side of zero or both.
_NARROWEST = 2e-9

FIXED: Mapping[str, tuple[float, float]] = {"SOFTMAX": (0.0, 1.0), "LOGISTIC": (0.0, 1.0), "TANH": (-1.0, 1.0)}
"""Output ranges that integer kernels hard-code; a measured one would make silent garbage, so none is ever used."""

# Operations whose output values are among their first input's.
_MOVING = frozenset(
    {
        "AVERAGE_POOL_2D", "BROADCAST_TO", "DEPTH_TO_SPACE", "DEQUANTIZE", "EXPAND_DIMS", "GATHER", "MAX_POOL_2D",
        "MIRROR_PAD", "PAD", "QUANTIZE", "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SLICE",
        "SPACE_TO_DEPTH", "SPLIT", "SQUEEZE", "STRIDED_SLICE", "TILE", "TRANSPOSE", "UNPACK",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class TensorRange:
    """The range of one activation, in real units.

    Attributes:
        low: lower end of the INT8 grid.
        high: upper end of the INT8 grid.
        full_low: lower end of the INT16 grid: the lowest value seen or below, since clipping gains nothing there.
        full_high: upper end of the INT16 grid.
    """

    low: float
    high: float
    full_low: float
    full_high: float

    @classmethod
    def plain(cls, low: float, high: float) -> TensorRange:
        """Return a range that holds for every width."""
        return cls(low, high, low, high)

    def checked(self, name: str) -> TensorRange:
        """Return a usable range: with zero in it, and not empty.

        Raises:
            QuantizationError: an end is not finite, absurdly large, or they are swapped.
        """
        ends = (self.low, self.high, self.full_low, self.full_high)
        if not all(math.isfinite(end) and abs(end) < _LARGEST for end in ends):
            raise QuantizationError(f"the range of {name!r} is {ends}; calibrate it on finite values")
        if self.low > self.high or self.full_low > self.full_high:
            raise QuantizationError(f"the range of {name!r} is {ends}: its ends are swapped")
        low, high = _with_zero(self.low, self.high)
        full_low, full_high = _with_zero(self.full_low, self.full_high)
        return TensorRange(low, high, full_low, full_high)


def _with_zero(low: float, high: float) -> tuple[float, float]:
    """Extend a range to hold zero (padding needs it) and to a width that the quantizer takes.

    An activation that is always zero gets a unit range. One that faded, as in networks that were never trained, keeps
    its proportions.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    width = high - low
    if width < _ALWAYS_ZERO:
        return -1.0, 1.0
    factor = max(1.0, _NARROWEST / width)
    return low * factor, high * factor


@dataclass(frozen=True)
class Ranges:
    """Ranges by tensor name.

    Attributes:
        tensors: the range of each activation.
        source: where they come from, e.g. ``minmax over 128 captures``.
        data: digest of the data that they were measured on, ``""`` if none.
    """

    tensors: Mapping[str, TensorRange]
    source: str
    data: str = ""

    def complete(self, graph: Graph) -> Ranges:
        """Return checked ranges for every float activation of ``graph``, a float graph.

        Raises:
            QuantizationError: an activation has no range, or an unusable one.
        """
        found = dict(self.tensors)
        for op in graph.ops:
            _complete_op(op, graph, found)
        wanted = {graph.tensors[i].name for op in graph.ops for i in (*op.inputs, *op.outputs) if _ranged(graph, i)}
        for tensor in graph.inputs:  # an input that nothing reads is still a tensor of the signature
            if _ranged(graph, tensor.index) and graph.tensors[tensor.index].name not in wanted:
                wanted.add(graph.tensors[tensor.index].name)
                found.setdefault(graph.tensors[tensor.index].name, TensorRange.plain(0.0, 1.0))
        missing = sorted(wanted - found.keys())
        if missing:
            raise QuantizationError(
                f"{len(missing)} activations have no range, the first is {missing[0]!r}; calibrate this very graph"
            )
        return Ranges({name: found[name].checked(name) for name in sorted(wanted)}, self.source, self.data)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) over all of it."""
        return hashlib.sha256(json.dumps(FILE.to_json(self), sort_keys=True).encode()).hexdigest()

    def save(self, path: Path) -> None:
        """Write the ranges; ``load(path)`` gives equal ones."""
        FILE.save(self, path)

    @classmethod
    def load(cls, path: Path) -> Ranges:
        """Read a file of ranges.

        Raises:
            DataError: it cannot be read, or is not one.
        """
        return FILE.load(path)


FILE = RecordFile(Ranges, "a file of ranges", 2, "calibrate again", DataError)


def _ranged(graph: Graph, index: int) -> bool:
    return index >= 0 and not graph.tensors[index].constant and graph.tensors[index].dtype == "float32"


def _complete_op(op: GraphOp, graph: Graph, found: dict[str, TensorRange]) -> None:
    """Give the outputs of one operation the range that follows from its mathematics, if any."""
    names = [graph.tensors[index].name for index in op.outputs]
    sources = [graph.tensors[i].name for i in op.inputs if _ranged(graph, i)]
    for name in names:
        if op.op in FIXED:
            found[name] = TensorRange.plain(*FIXED[op.op])
        elif name in found:
            continue
        elif op.op in _MOVING and sources and sources[0] in found:
            found[name] = found[sources[0]]
        elif op.op == "CONCATENATION" and sources and all(source in found for source in sources):
            parts = [found[source] for source in sources]
            found[name] = TensorRange(
                min(p.low for p in parts), max(p.high for p in parts),
                min(p.full_low for p in parts), max(p.full_high for p in parts),
            )  # fmt: skip
