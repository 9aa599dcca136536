"""What a conversion leaves behind, and how near the graph's outputs are to those of the source's own runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph
from firmware_bridge.device.runtime import default_runtime
from models.errors import QuantizationError

__all__ = ["Conversion", "OutputMatch", "compare_outputs", "random_inputs"]

_LEAST_COSINE = 0.999
_SEED = 7


@dataclass(frozen=True)
class Conversion:
    """A converted graph, and what the source itself made of some inputs.

    Attributes:
        model: the .tflite.
        inputs: by the source's names, in its order.
        outputs: what the source's runtime computed, by its names, in its order.
        changes: what the conversion changed, a line each.
    """

    model: bytes
    inputs: dict[str, NDArray[Any]]
    outputs: dict[str, NDArray[Any]]
    changes: tuple[str, ...] = ()

    @classmethod
    def read(cls, folder: Path) -> Conversion:
        """Read what a worker of another environment left in a folder (`models.frontends.worker`)."""
        with np.load(folder / "reference.npz", allow_pickle=False) as stored:
            parts: dict[str, dict[str, NDArray[Any]]] = {"in": {}, "out": {}}
            for key in stored.files:
                way, _, name = key.partition("/")
                parts[way][name] = stored[key]
        changes = (folder / "changes.txt").read_text("utf-8").splitlines()
        return cls((folder / "graph.tflite").read_bytes(), parts["in"], parts["out"], tuple(changes))


@dataclass(frozen=True, slots=True)
class OutputMatch:
    """One output against the source's.

    Attributes:
        name: in the graph.
        source: in the source.
        difference: largest absolute difference.
        largest: largest absolute value of the source's.
        cosine: of the two, flattened; 1 if both are 0.
        channels_last: the graph has the channels last, the source first.
    """

    name: str
    source: str
    difference: float
    largest: float
    cosine: float
    channels_last: bool


def random_inputs(shapes: dict[str, tuple[int, ...]]) -> dict[str, NDArray[np.float32]]:
    """Return inputs in [0, 1), the same in every run."""
    random = np.random.default_rng(_SEED)
    return {name: random.random(shape, np.float32) for name, shape in shapes.items()}


def compare_outputs(found: Conversion) -> tuple[tuple[OutputMatch, ...], tuple[str, ...]]:
    """Run the graph on the source's inputs; return each output's match, and lines on inputs that moved.

    Raises:
        QuantizationError: an input or output has no counterpart, or an output is not the source's.
    """
    session = default_runtime("litert").load(found.model)
    feed, lines = _feed(session.graph, found.inputs)
    results = {name: np.asarray(values) for name, values in session.run(feed).items()}
    if len(results) != len(found.outputs):
        raise QuantizationError(f"the graph has {len(results)} outputs, the source {len(found.outputs)}")
    matches = []
    for source, values in found.outputs.items():
        match = min(
            (m for name, got in results.items() if (m := _match(name, source, got, values)) is not None),
            key=lambda m: m.difference, default=None,
        )  # fmt: skip
        if match is None:
            raise QuantizationError(f"no output of the graph has the shape of the source's {source} {values.shape}")
        del results[match.name]
        matches.append(match)
    for match in matches:
        if not match.cosine >= _LEAST_COSINE:
            raise QuantizationError(
                f"output {match.name} is not the source's {match.source}: cosine {match.cosine:.4f}, difference "
                f"{match.difference:.3g} of {match.largest:.3g}; an operation was not converted as the source means it"
            )
    return tuple(matches), tuple(lines)


def _feed(graph: Graph, inputs: dict[str, NDArray[Any]]) -> tuple[dict[str, NDArray[Any]], list[str]]:
    feed, lines = {}, []
    left = dict(inputs)
    for position, tensor in enumerate(graph.inputs):
        source = tensor.name if tensor.name in left else list(inputs)[position] if position < len(inputs) else ""
        values = left.pop(source, None)
        if values is None:
            raise QuantizationError(f"input {tensor.name} of the graph is none of the source's ({', '.join(inputs)})")
        if values.shape != tensor.shape and values.ndim == 4 and values.transpose(0, 2, 3, 1).shape == tensor.shape:
            values = np.ascontiguousarray(values.transpose(0, 2, 3, 1))
            lines.append(f"input {tensor.name}: the channels are last now, they were first")
        if source != tensor.name:
            lines.append(f"input {tensor.name}: called {source} in the source")
        if values.shape != tensor.shape:
            raise QuantizationError(f"input {tensor.name}: {tensor.shape} in the graph, {values.shape} in the source")
        feed[tensor.name] = values.astype(tensor.dtype)
    return feed, lines


def _match(name: str, source: str, got: NDArray[Any], values: NDArray[Any]) -> OutputMatch | None:
    moved = got.shape != values.shape
    if moved and values.ndim == 4 and values.transpose(0, 2, 3, 1).shape == got.shape:
        values = values.transpose(0, 2, 3, 1)
    if got.shape != values.shape:
        return None
    a, b = got.astype(np.float64).ravel(), values.astype(np.float64).ravel()
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    cosine = float(a @ b) / norms if norms > 0 else float(np.array_equal(a, b))
    return OutputMatch(name, source, float(np.abs(a - b).max()), float(np.abs(b).max()), cosine, moved)
