"""The walk over a graph that rewrites what has no integer form, and what was rewritten, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from models.quant import editing
from models.quant.legalise.editor import Editor, Place
from models.quant.legalise.rewrites import REWRITES

__all__ = ["Rewritten", "legalise"]

# A mask that closes a softmax's key: exp(-64) is 0 in float beside any logit within 50 of the largest one, and leaves
# an integer grid its steps, where -1e9 takes them all.
_CLOSED, _MASK = -64.0, -1e4
_BEFORE_SOFTMAX = ("ADD", "MUL", "SUB", "SELECT", "SELECT_V2", "RESHAPE")
_DEPTH = 3


@dataclass(frozen=True, slots=True)
class Rewritten:
    """One operation that was rewritten.

    Attributes:
        layer: name of its first output.
        op: its TFLite name.
        into: names of the operations that stand there instead; none where only a constant was changed.
    """

    layer: str
    op: str
    into: tuple[str, ...]

    @property
    def text(self) -> str:
        """One short line for people."""
        return f"{self.op} {self.layer}: " + (
            ", ".join(self.into) or f"mask of {_CLOSED:g} instead of {_MASK:g} or less"
        )


def legalise(model: Any) -> tuple[Rewritten, ...]:
    """Rewrite, in place, operations that have no integer form as others that have one.

    Args:
        model: the object form of a float graph of one subgraph, with the shapes that it runs with.

    Returns:
        What was rewritten, in execution order; empty if nothing was.
    """
    editor, subgraph = Editor(model), model.subgraphs[0]
    found: list[Rewritten] = []
    operators: list[Any] = []
    names = editing.operator_names(model)
    for operator in subgraph.operators:
        kind = names[operator.opcodeIndex]
        place = Place(editor, operator)
        if kind in REWRITES and _floats(editor, place) and REWRITES[kind](place):
            operators += place.written
            names = editing.operator_names(model)
            into = tuple(names[written.opcodeIndex] for written in place.written)
            found.append(Rewritten(editor.name(place.outputs[0]), kind, into))
        else:
            operators.append(operator)
    subgraph.operators = operators
    return (*found, *_soften_masks(model, editor))


def _floats(editor: Editor, place: Place) -> bool:
    """Tell whether an operation gives floats: indices and masks have no grid."""
    return all(editor.is_float(index) for index in place.outputs)


def _soften_masks(model: Any, editor: Editor) -> tuple[Rewritten, ...]:
    """Raise the constants that close keys before a softmax, where nothing else reads what they close."""
    operators, names = model.subgraphs[0].operators, editing.operator_names(model)
    makers = {int(op.outputs[0]): op for op in operators}
    readers: dict[int, list[Any]] = {}
    for op in operators:
        for index in op.inputs:
            readers.setdefault(int(index), []).append(op)
    found = []
    wanted = [int(op.inputs[0]) for op in operators if names[op.opcodeIndex] == "SOFTMAX"]
    for _ in range(_DEPTH):
        further = []
        for index in wanted:
            op = makers.get(index)
            if op is None or len(readers[index]) != 1 or names[op.opcodeIndex] not in _BEFORE_SOFTMAX:
                continue
            further += [int(source) for source in op.inputs if source >= 0]
            for source in (int(source) for source in op.inputs if source >= 0):
                value = editor.constant(source)
                if value is not None and value.dtype == np.float32 and (value <= _MASK).any():
                    editor.set_constant(source, np.where(value <= _MASK, np.float32(_CLOSED), value))
                    found.append(Rewritten(editor.name(index), names[op.opcodeIndex], ()))
        wanted = further
    return tuple(found)
