"""Does the simulation compute what the runtime computes? Operation by operation, and at the outputs.

Owns the comparison with the produced graph on LiteRT's reference kernels. An operation is compared on the very inputs
that the runtime gave it, so that what differs is its own; at the outputs all differences have come together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph, GraphOp, GraphTensor
from firmware_bridge.device.runtime import Kernels, LiteRt
from models.errors import QuantizationError
from models.quant.activation_tap import Probe
from models.quant.feeds import Sample, dequantized, quantized
from models.quant.plan import Precision
from models.quant.simulation.assignment import Assignment, OpGrids
from models.quant.simulation.engine import Simulation
from models.quant.simulation.node import Node
from models.quant.simulation.rounding import Grid

__all__ = ["OperationParity", "operation_parity", "output_distance"]


@dataclass(frozen=True, slots=True)
class OperationParity:
    """One operation in the simulation and in the runtime.

    Attributes:
        name: of its first output.
        op: its TFLite name.
        precision: that it computes in.
        values: how many values were compared.
        mismatches: how many differ.
        max_lsb: largest difference in steps.
    """

    name: str
    op: str
    precision: Precision
    values: int
    mismatches: int
    max_lsb: float


def operation_parity(
    simulation: Simulation, assignment: Assignment, produced: bytes, samples: Sequence[Sample]
) -> tuple[OperationParity, ...]:
    """Compare each integer operation on the inputs that the runtime gave it.

    Args:
        simulation: of the float graph.
        assignment: what ``produced`` was made by.
        produced: the integer graph.
        samples: at least one.

    Raises:
        QuantizationError: an operation is missing in ``produced``, or a tensor is on another grid there.
    """
    graph, resolved = Graph.parse(produced), simulation.resolved(assignment)
    probe = Probe(produced, Kernels.REFERENCE)
    made = {graph.tensors[op.outputs[0]].name: op for op in graph.ops}
    pairs = []
    for number, (node, grids) in enumerate(zip(simulation.nodes, resolved.ops, strict=True)):
        if grids.out is not None:
            pairs.append((number, _same(simulation, node, grids, graph, made)))
    found: dict[int, list[NDArray[np.float64]]] = {number: [] for number, _ in pairs}
    for sample in samples:
        values = {tensor.index: value for tensor, value in probe.run(quantized(sample.feed, graph))}
        for number, op in pairs:
            grids = resolved.ops[number]
            inputs = _inputs(simulation.nodes[number], grids, op, graph, values)
            outputs = simulation.kernel(number, assignment[number], grids)(inputs)
            for index, output in zip(op.outputs, outputs, strict=True):
                wanted = values[index].astype(np.float64) - graph.tensors[index].zero_point
                found[number].append(np.abs(np.asarray(output, np.float64)[0] - wanted).ravel())
    return tuple(
        _parity(simulation.nodes[number], assignment[number], np.concatenate(found[number])) for number, _ in pairs
    )


def _parity(node: Node, precision: Precision, difference: NDArray[np.float64]) -> OperationParity:
    mismatches, largest = int(np.count_nonzero(difference)), float(difference.max(initial=0.0))
    return OperationParity(node.op.name, node.kind, precision, int(difference.size), mismatches, largest)


def _same(simulation: Simulation, node: Node, grids: OpGrids, graph: Graph, made: dict[str, GraphOp]) -> GraphOp:
    """Return the produced operation, having checked its grids."""
    op = made.get(simulation.graph.tensors[node.op.outputs[0]].name)
    if op is None or op.op != node.kind:
        raise QuantizationError(f"the produced graph has no {node.kind} that gives {node.op.name!r}")
    for index in op.outputs:
        _check(graph.tensors[index], grids.out, node)
    for position, grid in zip(node.positions, grids.reads, strict=True):
        _check(graph.tensors[op.inputs[position]], grid, node)
    return op


def _check(tensor: GraphTensor, grid: Grid | None, node: Node) -> None:
    """Compare one tensor's grid."""
    if grid is None:
        return
    if abs(tensor.scale - grid.scale) > 1e-6 * grid.scale or tensor.zero_point != grid.zero_point:
        raise QuantizationError(
            f"{node.kind} {node.op.name!r}: {tensor.name!r} has scale {tensor.scale:.6g} and zero point"
            f" {tensor.zero_point} in the produced graph, {grid.scale:.6g} and {grid.zero_point} in the simulation"
        )


def _inputs(
    node: Node, grids: OpGrids, op: GraphOp, graph: Graph, values: dict[int, NDArray[Any]]
) -> dict[int, tf.Tensor]:
    found = {}
    for position, grid in zip(node.positions, grids.reads, strict=True):
        index = op.inputs[position]
        value = values[index]
        if grid is not None:
            value = value.astype(np.float32) - graph.tensors[index].zero_point
        found[position] = tf.constant(value[None])
    return found


def output_distance(
    simulation: Simulation, assignment: Assignment, produced: bytes, samples: Sequence[Sample]
) -> dict[str, float]:
    """Return, for each output, mean |simulation - runtime| in standard deviations of the float output.

    Args:
        simulation: of the float graph.
        assignment: what ``produced`` was made by.
        produced: the integer graph.
        samples: at least one.
    """
    plain, session = LiteRt().load(simulation.float_tflite), LiteRt().load(produced, Kernels.REFERENCE)
    feed = {t.name: np.stack([sample.feed[t.name] for sample in samples]) for t in simulation.graph.inputs}
    simulated = simulation.run(feed, [assignment])[0]
    real = [dequantized(session.run(quantized(s.feed, session.graph)), session.graph) for s in samples]
    floats = [plain.run({name: np.asarray(value, np.float32) for name, value in s.feed.items()}) for s in samples]
    found = {}
    for name, value in simulated.items():
        wanted = np.stack([one[name] for one in real]).reshape(value.shape)
        sigma = max(float(np.stack([one[name] for one in floats]).std()), 1e-12)
        found[name] = float(np.abs(np.asarray(value) - wanted).mean() / sigma)
    return found
