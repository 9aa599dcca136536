"""The study behind a sensitivity map: a float graph, its ranges, and the pools. Plain values.

A study can be sent to another process, which builds the simulation once. Its digest covers everything that a figure
depends on, so that figures can be cached.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from firmware_bridge.device.graph import Graph
from firmware_bridge.device.runtime import op_table
from models.captures import CaptureSet
from models.errors import DataError
from models.evaluation.predict import input_size
from models.heads import is_grid
from models.quant import quantizer
from models.quant.feeds import Sample
from models.quant.fitting import fit_for_quantizing
from models.quant.plan import Precision
from models.quant.ranges import Ranges
from models.sensitivity.groups import Group, groups_of
from models.sensitivity.pools import CapturePool, Pool, SamplePool

if TYPE_CHECKING:
    from models.quant.simulation.assignment import Assignment
    from models.quant.simulation.engine import Simulation

__all__ = ["Study", "simulation_of"]

# Part of every digest: increase it when the meaning of a measured figure changes.
_VERSION = 2


@dataclass(frozen=True)
class Study:
    """A float graph on some pools.

    Attributes:
        float_tflite: the float graph.
        ranges: of its activations.
        pools: by name.
        blocks: (block, glob of layer names) rules of the user.
    """

    float_tflite: bytes
    ranges: Ranges
    pools: Mapping[str, Pool]
    blocks: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(
        cls,
        float_tflite: bytes,
        ranges: Ranges,
        pools: Mapping[str, CaptureSet | Sequence[Sample]],
        blocks: Sequence[tuple[str, str]] = (),
    ) -> Study:
        """Preprocess the pools for the graph.

        Raises:
            DataError: captures do not match the graph, or a pool is empty or invalid.
        """
        if not pools:
            raise DataError("a sensitivity map needs at least one pool of captures or samples")
        graph = Graph.parse(fit_for_quantizing(float_tflite))
        loaded: dict[str, Pool] = {}
        for name, given in pools.items():
            if isinstance(given, CaptureSet):
                loaded[name] = CapturePool.load(given, *input_size(graph))
            else:
                loaded[name] = SamplePool.of(name, given, graph)
        return cls(float_tflite, ranges, loaded, tuple(blocks))

    @cached_property
    def fitted(self) -> bytes:
        """The float graph, prepared for quantization."""
        return fit_for_quantizing(self.float_tflite)

    @cached_property
    def graph(self) -> Graph:
        """The view of the prepared graph."""
        return Graph.parse(self.fitted)

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The graph's groups."""
        return groups_of(self.graph, self.blocks)

    @cached_property
    def spans(self) -> dict[str, float]:
        """Width of each output's range by name, the unit of distances."""
        found = self.ranges.complete(self.graph).tensors
        spans = {t.name: found.get(self.graph.tensors[t.index].name) for t in self.graph.outputs}
        return {name: 1.0 if span is None else span.full_high - span.full_low for name, span in spans.items()}

    @property
    def has_truth(self) -> bool:
        """Whether AP can be computed: pools of captures, and decodable heads."""
        captures = all(isinstance(pool, CapturePool) for pool in self.pools.values())
        return captures and is_grid(tensor.name for tensor in self.graph.outputs)

    def assignment(self, base: Precision, changes: Mapping[str, Precision]) -> Assignment:
        """Return ``base`` except in the groups of ``changes``; operations without such a type stay in float."""
        found = [base] * len(self.graph.ops)
        for group in self.groups:
            for index in group.ops if group.name in changes else ():
                found[index] = changes[group.name]
        legal = self._legal
        return tuple(
            precision if not precision.integer or (op.op, precision) in legal else Precision.FP32
            for op, precision in zip(self.graph.ops, found, strict=True)
        )

    @cached_property
    def _legal(self) -> frozenset[tuple[str, Precision]]:
        runs = frozenset(op_table("litert"))
        return frozenset(
            (kind, precision)
            for precision in (Precision.INT8, Precision.INT16)
            for kind in {op.op for op in self.graph.ops}
            if kind in quantizer.supported_ops(precision) and f"{kind}:{precision.op_dtype}" in runs
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over the graph and its ranges; pools have their own digests."""
        digest = hashlib.sha256(f"sensitivity {_VERSION} {self.ranges.digest} {self.blocks} ".encode())
        digest.update(self.float_tflite)
        return digest.hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        """Omit cached values."""
        return {"float_tflite": self.float_tflite, "ranges": self.ranges, "pools": self.pools, "blocks": self.blocks}


_RANGES: dict[str, Ranges] = {}


@lru_cache(maxsize=2)
def _built(digest: str, fitted: bytes) -> Simulation:
    from models.quant.simulation.engine import Simulation

    return Simulation(fitted, _RANGES[digest])


def simulation_of(study: Study) -> Simulation:
    """Return the study's simulation, cached per process."""
    _RANGES[study.digest] = study.ranges
    return _built(study.digest, study.fitted)
