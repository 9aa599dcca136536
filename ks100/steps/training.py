"""Training a float network. Imports TensorFlow when called."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ks100.steps.captures import load_captures
from models.captures import CLASSES
from models.errors import DataError
from models.progress import Progress

if TYPE_CHECKING:
    from models.captures import CaptureSet
    from models.training.events import TrainingEvent
    from models.training.network import TrainedNetwork

__all__ = ["FLOAT_GRAPH", "own_classes", "told", "train_float", "write_float_graph"]

FLOAT_GRAPH = "float.tflite"


def train_float(
    captures: Path,
    recipe: str | Path,
    out: Path,
    progress: Progress,
    *,
    start: Path | None = None,
    resume: bool = True,
) -> str:
    """Train on ``captures/train``, validate on ``captures/validation``, and write the network and its graph to ``out``.

    ``start`` is the folder of the trained network with the recipe's initial weights.

    Returns:
        One line on the result.
    """
    from models.training.network import TrainedNetwork
    from models.training.recipe import Recipe
    from models.training.train import train

    first = None if start is None else TrainedNetwork.load(start)
    train_set = own_classes(load_captures(captures / "train")[0].labelled)
    validation = own_classes(load_captures(captures / "validation")[0].labelled)
    trained = train(Recipe.load(recipe), train_set, validation, out, told(progress), resume, first)
    write_float_graph(trained, out)
    return _summary(trained.ap50)


def write_float_graph(network: TrainedNetwork, out: Path) -> None:
    """Write the network's float graph into the folder ``out``, and its model card beside it."""
    from firmware_bridge.device.graph import Graph
    from models.card import CARD_SUFFIX
    from models.evaluation.predict import card_of

    graph, path = network.export(), out / FLOAT_GRAPH
    path.write_bytes(graph)
    card_of(Graph.parse(graph)).save(path.with_name(path.stem + CARD_SUFFIX))


def own_classes(captures: CaptureSet) -> CaptureSet:
    """Return the set if its classes are those of the project's networks.

    Raises:
        DataError: they are others.
    """
    if captures.classes != CLASSES:
        raise DataError(
            f"{captures.name} has the classes {', '.join(captures.classes)}, the network {', '.join(CLASSES)}: say in "
            "a description of the dataset which of its classes is which ([classes], docs/captures.md)"
        )
    return captures


def _summary(ap50: float | None) -> str:
    return "finished" if ap50 is None else f"AP50 {100 * ap50:.1f} points on the validation set"


def told(progress: Progress) -> _Adapter:
    """Return what shows training's events on ``progress``."""
    return _Adapter(progress)


class _Adapter:
    """Reports training events as progress."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __call__(self, event: TrainingEvent) -> None:
        left = "" if event.seconds_left is None else f", {event.seconds_left:.0f} s left"
        self._progress(event.share, event.text + left)
