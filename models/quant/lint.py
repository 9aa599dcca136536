"""Does a produced graph compute every operation, with weights, in the types that its plan asks for?

Peers fall back silently. Owns: the comparison operation by operation, and the list of conversions at boundaries.
Changes nothing.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from firmware_bridge.device.graph import CONVERSIONS, Graph, GraphOp
from models.quant.layer_names import operation_names
from models.quant.plan import Precision, PrecisionPlan
from models.quant.quantizer import supported_ops

__all__ = ["Boundary", "FloatOp", "LintReport", "lint"]


@dataclass(frozen=True, slots=True)
class Boundary:
    """One conversion: ``kind`` is e.g. ``QUANTIZE:INT8_INT16``; between the layers ``source`` and ``targets``."""

    kind: str
    source: str
    targets: tuple[str, ...]
    elements: int


@dataclass(frozen=True, slots=True)
class FloatOp:
    """An operation that stays float although the plan asks for integers.

    Attributes:
        layer: its name.
        op: its TFLite name.
        macs: that it computes.
        why: what stands in the way.
    """

    layer: str
    op: str
    macs: int
    why: str = ""


@dataclass(frozen=True, slots=True)
class LintReport:
    """What a lint found.

    Attributes:
        problems: one line each: an operation or weights of another type than planned, or one that is missing.
        left_float: what stays float although the plan asks for integers (only with ``allow_float``).
        boundaries: every conversion, in execution order.
        op_counts: number of operations by type, e.g. ``CONV_2D:INT8``.
    """

    problems: tuple[str, ...]
    left_float: tuple[FloatOp, ...]
    boundaries: tuple[Boundary, ...]
    op_counts: tuple[tuple[str, int], ...]

    @property
    def clean(self) -> bool:
        """Whether the graph is what the plan asks for."""
        return not self.problems


def lint(graph: Graph, plan: PrecisionPlan, *, source: Graph | None = None, allow_float: bool = False) -> LintReport:
    """Compare the types in a produced graph with its plan.

    Args:
        graph: the produced graph.
        plan: the plan it was produced by.
        source: the float graph it was produced from; with it, operations that got lost are found too.
        allow_float: whether float operations where the plan asks for integers are only listed.
    """
    names = _source_names(graph, source)
    problems: list[str] = []
    left_float: list[FloatOp] = []
    for op in graph.ops:
        if op.op in CONVERSIONS:
            continue
        planned = plan.precision_of(*names[op.index])
        if allow_float and planned.integer and op.dtype == "FLOAT32":
            left_float.append(FloatOp(names[op.index][0], op.op, op.macs, _why(op, planned)))
            continue
        if op.dtype != planned.op_dtype and op.dtype in _COMPARED:
            problems.append(f"layer {names[op.index][0]!r} ({op.op}) is {op.dtype}, the plan says {planned.value}")
        elif fault := _weight_fault(op, planned, graph):
            problems.append(f"layer {names[op.index][0]!r} ({op.op}) has {fault}")
    problems += _lost(graph, source)
    counts = Counter(op.type for op in graph.ops)
    return LintReport(tuple(problems), tuple(left_float), _boundaries(graph, names), tuple(sorted(counts.items())))


def _why(op: GraphOp, planned: Precision) -> str:
    """Return why an operation stays float that the plan wants in integers."""
    if op.op not in supported_ops(planned):
        return f"there is no {planned.op_dtype} form of {op.op}, nor other operations that compute it"
    return f"the runtime has no {planned.op_dtype} kernel for this {op.op}"


def _weight_fault(op: GraphOp, planned: Precision, graph: Graph) -> str:
    """Return what is wrong with the constant weights of an operation, or ``""``."""
    if op.op == "BATCH_MATMUL":
        # Its kernels take one scale: with more they compute zeros. And no float of 16 bits is stored for it.
        scales = max((graph.tensors[i].channels for i in op.inputs if i >= 0 and graph.tensors[i].constant), default=1)
        return f"{scales} scales for its weights, and runtimes compute with one" if scales > 1 else ""
    if not op.stored_weights or op.stored_weights == planned.weight_dtype:
        return ""
    return f"{op.stored_weights} weights, the plan says {planned.value} ({planned.weight_dtype} weights)"


# Operations on indices and masks have types of their own; no plan speaks of them.
_COMPARED = frozenset({precision.op_dtype for precision in Precision} | {"FLOAT16", "UINT8"})


def _source_names(graph: Graph, source: Graph | None) -> dict[int, tuple[str, ...]]:
    """Return the names of each operation; those of the float graph where its output tensor is the same."""
    names = operation_names(graph)
    if source is None:
        return names
    known = {op.name: found for op, found in zip(source.ops, operation_names(source).values(), strict=True)}
    return {op.index: known.get(op.name, names[op.index]) for op in graph.ops}


def _lost(graph: Graph, source: Graph | None) -> list[str]:
    """Return a line for each kind of operation that the float graph has in another number."""
    if source is None:
        return []
    before, after = (Counter(op.op for op in g.ops if op.op not in CONVERSIONS) for g in (source, graph))
    return [
        f"the float graph has {before[op]} of {op}, the produced one {after[op]}"
        for op in sorted(before.keys() | after.keys())
        if before[op] != after[op]
    ]


def _boundaries(graph: Graph, names: dict[int, tuple[str, ...]]) -> tuple[Boundary, ...]:
    made = {index: op for op in graph.ops for index in op.outputs}
    readers: dict[int, list[GraphOp]] = {}
    for op in graph.ops:
        for index in op.inputs:
            readers.setdefault(index, []).append(op)
    called = {tensor.index: tensor.name for tensor in (*graph.inputs, *graph.outputs)}

    def caller(index: int) -> str:
        return names[made[index].index][0] if index in made else called.get(index, graph.tensors[index].name)

    return tuple(
        Boundary(
            kind=op.type,
            source=caller(op.inputs[0]),
            targets=tuple(names[reader.index][0] for reader in readers.get(op.outputs[0], ())) or ("output",),
            elements=op.output_elements,
        )
        for op in graph.ops
        if op.op in CONVERSIONS and not graph.tensors[op.inputs[0]].constant
    )
