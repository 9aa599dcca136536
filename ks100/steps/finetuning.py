"""Fine-tuning any float graph under a precision plan. Imports TensorFlow when called."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_bridge.device.graph import Graph
from ks100.errors import UsageError
from ks100.steps.captures import load_captures
from ks100.steps.evaluating import read_graph
from ks100.steps.quantizing import load_plan
from ks100.steps.training import FLOAT_GRAPH, own_classes, told
from models.card import CARD_SUFFIX, ModelCard
from models.progress import Progress

if TYPE_CHECKING:
    from models.captures import CaptureSet
    from models.finetuning.finetune import TuningData
    from models.quant.feeds import Sample

__all__ = ["TuningFiles", "finetune"]


@dataclass(frozen=True, slots=True)
class TuningFiles:
    """What a fine-tuning reads.

    Attributes:
        model: a float graph, or the folder of a trained network.
        plan: a standard plan's name, or its file.
        captures: folder of the pools train, validation and calibration, for networks with heads of ours; for other
            graphs any captures, whose frames the card turns into samples.
        samples: ``.npz`` files with an array for each input; for any graph.
        hard: hard cases to learn from beside ``captures/train``.
        card: the model card of the graph; the one beside it if None.
        recipe: a recipe's name or file, of which seed, [qat] and [augmentation] count; that of the trained network if
            None, or the defaults.
    """

    model: Path
    plan: str | Path
    captures: Path | None = None
    samples: Path | None = None
    hard: Path | None = None
    card: Path | None = None
    recipe: str | Path | None = None

    @property
    def graph(self) -> Path:
        """The float graph itself."""
        return self.model / FLOAT_GRAPH if self.model.is_dir() else self.model


def finetune(
    files: TuningFiles,
    out: Path,
    progress: Progress,
    *,
    twin: bool = True,
    runtime: str = "litert",
    allow_float: bool = False,
    resume: bool = True,
) -> str:
    """Fine-tune a float graph under a plan; leave float graph, ranges, plan and float twin in ``out``.

    Returns:
        One line on the result.
    """
    from models.finetuning.finetune import finetune as tune
    from models.training.recipe import Recipe

    recipe = Recipe("defaults")
    if files.recipe is not None:
        recipe = Recipe.load(files.recipe)
    elif files.model.is_dir() and (files.model / "recipe.toml").is_file():
        recipe = Recipe.load(files.model / "recipe.toml")
    graph = read_graph(files.graph)
    card = ModelCard.beside(files.graph) if files.card is None else ModelCard.load(files.card)
    found = tune(
        graph, load_plan(files.plan), _tuning_data(files, Graph.parse(graph), card), out, recipe.qat,
        augmentation=recipe.augmentation, seed=recipe.seed, twin=twin, runtime=runtime, allow_float=allow_float,
        progress=told(progress), resume=resume,
    )  # fmt: skip
    if card is not None:
        for name in (FLOAT_GRAPH, "twin.tflite"):
            card.save((out / name).with_suffix(CARD_SUFFIX))
    if not found.kept:
        return "no epoch brought the outputs nearer to the float graph's: weights and ranges are those of the start"
    if found.sqnr_db is not None:
        return f"epoch {found.kept} kept, worst output {found.sqnr_db:.1f} dB on held-out samples"
    shown = "" if found.ap50 is None else f", AP50 {100 * found.ap50:.1f} points on the validation set"
    return f"epoch {found.kept} kept{shown}"


def _tuning_data(files: TuningFiles, graph: Graph, card: ModelCard | None) -> TuningData:
    from models.finetuning.finetune import TuningData, learns_labels
    from models.quant.sample_files import read_samples

    if files.hard is not None and (files.samples is not None or not learns_labels(graph)):
        raise UsageError("hard cases are learned from by their labels: they go with --captures and a network of ours")
    if files.samples is not None:
        return TuningData(read_samples(files.samples))
    assert files.captures is not None
    if not learns_labels(graph):
        pool = files.captures / "train"
        return TuningData(_samples(load_captures(pool if pool.is_dir() else files.captures)[0], graph, card))
    train, validation, calibration = (
        load_captures(files.captures / name)[0] for name in ("train", "validation", "calibration")
    )
    hard = None if files.hard is None else own_classes(load_captures(files.hard)[0].labelled)
    return TuningData(own_classes(train.labelled), own_classes(validation.labelled), calibration, hard)


def _samples(captures: CaptureSet, graph: Graph, card: ModelCard | None) -> list[Sample]:
    """Return the frames of captures as the card turns them into the graph's inputs."""
    from models.card.feed import check_bands, graph_inputs
    from models.quant.feeds import Sample

    if card is None:
        raise UsageError("captures feed a graph of other inputs than eo and lwir by its model card: give --card")
    card.check(graph)
    check_bands(card, captures)
    return [
        Sample(
            graph_inputs(card, graph, captures, index)[0],
            tuple(f"{axis}={category}" for axis, category in captures.captures[index].conditions.items),
        )
        for index in range(len(captures))
    ]
