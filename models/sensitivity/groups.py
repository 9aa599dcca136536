"""Groups: chains of operations that are planned and measured as a unit.

A group is an operation and the following operations that are its only readers and multiply nothing: reshapes and
transposes, an activation, the softmax of the logits. Blocks are the parts of the network that groups belong to: by name
in networks of this package, by structure in others (`models.sensitivity.blocks`), or by the user's rules. Works on any
float graph, independent of precision.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from firmware_bridge.device.graph import Graph, GraphOp
from models.quant.layer_names import operation_names
from models.sensitivity.blocks import ATTENTION, named_blocks

__all__ = ["Group", "groups_of", "is_attention"]

_UNARY = frozenset(
    {
        "ABS", "AVERAGE_POOL_2D", "BROADCAST_TO", "DEPTH_TO_SPACE", "ELU", "EXP", "EXPAND_DIMS", "GATHER", "GELU",
        "HARD_SWISH", "L2_NORMALIZATION", "LEAKY_RELU", "LOGISTIC", "MAX_POOL_2D", "MEAN", "MIRROR_PAD", "MUL", "NEG",
        "PAD", "PADV2", "PRELU", "RELU", "RELU6", "RELU_N1_TO_1", "RESHAPE", "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR", "RSQRT", "SLICE", "SOFTMAX", "SPACE_TO_DEPTH", "SQRT", "SQUARE", "SQUEEZE",
        "STRIDED_SLICE", "SUM", "TANH", "TILE", "TRANSPOSE",
    }
)  # fmt: skip
_OWN_ATTENTION = "fusion"
_PARTS = re.compile(r"(fusion_\d+|eo|lwir|neck|head)(_|$)")
_OUTPUTS = re.compile(r"(cls|box|kin)_\d+$")


@dataclass(frozen=True, slots=True)
class Group:
    """One group.

    Attributes:
        name: that of its first operation's layer; unique.
        block: its part of the network, e.g. ``fusion_8``.
        ops: indices of its operations, ascending.
        layers: the name of each operation for plans.
        macs: multiply-accumulates of one run.
        parameters: number of constant elements.
        tensors: indices of its output tensors; one, unless its last operation is a split.
    """

    name: str
    block: str
    ops: tuple[int, ...]
    layers: tuple[str, ...]
    macs: int
    parameters: int
    tensors: tuple[int, ...]


def is_attention(block: str) -> bool:
    """Return whether a block is an attention layer, by name or by structure."""
    return block.startswith((ATTENTION, _OWN_ATTENTION))


def groups_of(graph: Graph, blocks: Sequence[tuple[str, str]] = ()) -> tuple[Group, ...]:
    """Return the groups of a float graph in execution order; each operation is in exactly one.

    Args:
        graph: the float graph.
        blocks: (block, glob of layer names) rules of the user; the first match counts.

    Raises:
        RecipeError: a glob matches nothing.
    """
    names = operation_names(graph)
    chains = _chains(graph)
    found_blocks = _blocks(graph, chains, names, blocks)
    found: list[Group] = []
    taken: set[str] = set()
    for chain, block in zip(chains, found_blocks, strict=True):
        ops = [graph.ops[index] for index in chain]
        name = names[chain[0]][0]
        while name in taken:  # two operations of one layer: named by the next operation, then numbered
            name = f"{name}'"
        taken.add(name)
        layers = tuple(_telling(names, index, chain) for index in chain)
        parameters = sum(_parameters(op, graph) for op in ops)
        found.append(Group(name, block, tuple(chain), layers, sum(op.macs for op in ops), parameters, ops[-1].outputs))
    return tuple(found)


def _telling(names: dict[int, tuple[str, ...]], index: int, chain: Sequence[int]) -> str:
    """Return the first name that is unique to the group, so that a plan's rule matches no other group.

    Preferably that of the layer: a plan applies to the network's layers and to the graph's operations.
    """
    others = {name for i, found in names.items() if i not in chain for name in found}
    return next((name for name in names[index] if name not in others), names[index][0])


def _chains(graph: Graph) -> list[list[int]]:
    readers: dict[int, list[GraphOp]] = {}
    for op in graph.ops:
        for index in {i for i in op.inputs if i >= 0 and not graph.tensors[i].constant}:
            readers.setdefault(index, []).append(op)
    leaving = {tensor.index for tensor in graph.outputs}
    chain_of: dict[int, list[int]] = {}
    chains: list[list[int]] = []
    for op in graph.ops:
        moving = [i for i in op.inputs if i >= 0 and not graph.tensors[i].constant]
        source = moving[0] if len(moving) == 1 else -1
        alone = source in chain_of and len(readers[source]) == 1 and source not in leaving
        if alone and op.op in _UNARY and len(op.outputs) == 1:
            chain = chain_of[source]
            chain.append(op.index)
        else:
            chain = [op.index]
            chains.append(chain)
        for index in op.outputs:
            chain_of[index] = chain
    return chains


def _blocks(
    graph: Graph, chains: list[list[int]], names: dict[int, tuple[str, ...]], rules: Sequence[tuple[str, str]]
) -> list[str]:
    """Return each chain's block: by name if all chains have one, else by structure."""
    named = [_block(names[chain[0]]) for chain in chains]
    if all(named) and not rules:
        return named
    found = named_blocks(graph, names, rules)
    return [found[chain[0]] for chain in chains]


def _block(names: Sequence[str]) -> str:
    for name in names:
        if _OUTPUTS.match(name):
            return "head"
        match = _PARTS.match(name)
        if match:
            return match[1]
    return ""


def _parameters(op: GraphOp, graph: Graph) -> int:
    if not op.macs:
        return 0
    return sum(graph.tensors[i].elements for i in op.inputs if i >= 0 and graph.tensors[i].constant)
