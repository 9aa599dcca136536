"""Finding the parts of any network from its structure: encoders, attention layers, neck, heads.

Attention is a product of two computed matrices, its softmax, and a product of that, with the projections that feed only
them and the projection that follows. An encoder depends on a single input; a head leads only to some of the outputs;
the neck follows the merging of scales. The rest is the trunk, split where the resolution changes. Independent of
precision and of layer names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from math import prod

from firmware_bridge.device.graph import Graph, GraphOp
from models.errors import RecipeError

__all__ = ["ATTENTION", "named_blocks", "structural_blocks"]

ATTENTION = "attention"
"""Name prefix of blocks that are attention layers."""

_MOVES = frozenset({"RESHAPE", "TRANSPOSE", "SQUEEZE", "EXPAND_DIMS", "STRIDED_SLICE", "SLICE", "SPLIT", "UNPACK"})
_BETWEEN = _MOVES | {"MUL", "ADD", "SUB", "DIV", "MAXIMUM", "MINIMUM", "SELECT_V2", "CAST"}
_LINEAR = frozenset({"FULLY_CONNECTED", "CONV_2D", "DEPTHWISE_CONV_2D", "BATCH_MATMUL"})
_JOINS = frozenset({"RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR", "TRANSPOSE_CONV"})
# More parts of the trunk would not be informative.
_TRUNK_PARTS = 6


def named_blocks(graph: Graph, names: dict[int, tuple[str, ...]], rules: Sequence[tuple[str, str]]) -> list[str]:
    """Return each operation's block: that of the first rule that matches one of its names, else by structure.

    Args:
        graph: the float graph.
        names: of each operation.
        rules: (block, glob of layer names).

    Raises:
        RecipeError: a glob matches nothing.
    """
    found = structural_blocks(graph)
    for block, glob in reversed(rules):
        matched = [index for index, known in names.items() if any(fnmatchcase(name, glob) for name in known)]
        if not matched:
            raise RecipeError(f"block {block!r}: no layer matches {glob!r}")
        for index in matched:
            found[index] = block
    return found


def structural_blocks(graph: Graph) -> list[str]:
    """Return the block of each operation."""
    flow = _Flow(graph)
    found = [""] * len(graph.ops)
    for number, ops in enumerate(_attention_layers(graph, flow), 1):
        for index in ops:
            found[index] = found[index] or f"{ATTENTION}_{number}"
    _fill(found, flow.encoders())
    _fill(found, flow.heads())
    _fill(found, flow.neck())
    _trunk(graph, found)
    return found


def _fill(found: list[str], blocks: dict[int, str]) -> None:
    for index, block in blocks.items():
        found[index] = found[index] or block


class _Flow:
    """Data flow between operations."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.makers = {tensor: op.index for op in graph.ops for tensor in op.outputs}
        self.readers: dict[int, list[int]] = {op.index: [] for op in graph.ops}
        self.sources: dict[int, list[int]] = {}
        for op in graph.ops:
            made = [self.makers[i] for i in op.inputs if i in self.makers]
            self.sources[op.index] = list(dict.fromkeys(made))
            for source in self.sources[op.index]:
                self.readers[source].append(op.index)

    def encoders(self) -> dict[int, str]:
        """Return the operations that depend on one input only, if there are several."""
        if len(self._graph.inputs) < 2:
            return {}
        fed: dict[int, set[str]] = {}
        named = {tensor.index: tensor.name for tensor in self._graph.inputs}
        for op in self._graph.ops:
            own = {named[i] for i in op.inputs if i in named}
            fed[op.index] = own.union(*(fed[source] for source in self.sources[op.index]))
        return {index: f"encoder_{next(iter(inputs))}" for index, inputs in fed.items() if len(inputs) == 1}

    def heads(self) -> dict[int, str]:
        """Return the operations leading only to some outputs; with one output, those after the last map or tokens."""
        outputs = {tensor.index for tensor in self._graph.outputs}
        leads: dict[int, frozenset[int]] = {}
        for op in reversed(self._graph.ops):
            own = frozenset(op.outputs) & outputs
            leads[op.index] = own.union(*(leads[reader] for reader in self.readers[op.index]))
        if len(outputs) > 1:
            return {index: "head" for index, found in leads.items() if found and len(found) < len(outputs)}
        last = max((op.index for op in self._graph.ops if _positions(self._graph, op) > 1), default=-1)
        return {op.index: "head" for op in self._graph.ops if op.index > last}

    def neck(self) -> dict[int, str]:
        """Return the operations after the first merge of scales."""
        joined: set[int] = set()
        for op in self._graph.ops:
            if op.op in _JOINS or any(source in joined for source in self.sources[op.index]):
                joined.add(op.index)
        return dict.fromkeys(sorted(joined), "neck")

    def back(self, start: int, through: Iterable[str]) -> set[int]:
        """Return the operations before ``start`` that are reached only through operations of certain kinds."""
        return self._walk(start, self.sources, frozenset(through))

    def ahead(self, start: int, through: Iterable[str]) -> set[int]:
        """Return the operations after ``start`` that are reached only through operations of certain kinds."""
        return self._walk(start, self.readers, frozenset(through))

    def _walk(self, start: int, steps: dict[int, list[int]], through: frozenset[str]) -> set[int]:
        found: set[int] = set()
        waiting = list(steps[start])
        while waiting:
            index = waiting.pop()
            if index not in found:
                found.add(index)
                if self._graph.ops[index].op in through:
                    waiting += steps[index]
        return found


def _attention_layers(graph: Graph, flow: _Flow) -> list[list[int]]:
    """Return the operations of each attention layer."""
    layers = []
    for softmax in (op for op in graph.ops if op.op == "SOFTMAX"):
        logits = [i for i in flow.back(softmax.index, _BETWEEN) if _product(graph, graph.ops[i])]
        mixes = [i for i in flow.ahead(softmax.index, _BETWEEN) if _product(graph, graph.ops[i])]
        if not logits or not mixes:
            continue
        inside = {softmax.index, *logits, *mixes}
        for mix in mixes:
            inside |= {i for i in flow.back(mix, _BETWEEN) if i > min(logits) and graph.ops[i].op in _BETWEEN}
        for end in (*logits, *mixes):
            for index in flow.back(end, _MOVES):
                if graph.ops[index].op in _LINEAR | _MOVES:
                    inside.add(index)
        for mix in mixes:
            after = flow.ahead(mix, _MOVES)
            inside |= {i for i in after if graph.ops[i].op in _MOVES}
            inside |= set(sorted(i for i in after if graph.ops[i].op in _LINEAR)[:1])
        layers.append(sorted(inside))
    return layers


def _product(graph: Graph, op: GraphOp) -> bool:
    """Return whether an operation multiplies two computed matrices."""
    return op.op == "BATCH_MATMUL" and not any(graph.tensors[i].constant for i in op.inputs[:2])


def _positions(graph: Graph, op: GraphOp) -> int:
    """Return the number of pixels or tokens in an operation's output."""
    return prod(graph.tensors[op.outputs[0]].shape[:-1])


def _trunk(graph: Graph, found: list[str]) -> None:
    """Name the remaining operations: a new part after each attention layer and change of resolution."""
    parts: list[list[int]] = []
    size, broken = None, True
    for op in graph.ops:
        if found[op.index]:
            broken = broken or found[op.index].startswith(ATTENTION)
            continue
        shape = graph.tensors[op.outputs[0]].shape
        now = shape[1:3] if len(shape) == 4 and op.macs else size
        if broken or now != size:
            parts.append([])
        size, broken = now, False
        parts[-1].append(op.index)
    while len(parts) > _TRUNK_PARTS:  # merge the two neighbours with the fewest operations
        work = [sum(graph.ops[i].macs for i in part) for part in parts]
        least = min(range(len(parts) - 1), key=lambda at: work[at] + work[at + 1])
        parts[least : least + 2] = [parts[least] + parts[least + 1]]
    for number, part in enumerate(parts, 1):
        for index in part:
            found[index] = f"trunk_{number}" if len(parts) > 1 else "trunk"
