"""``ks100 evaluate``: measure a graph on captures, by condition."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.band_option import band_option, reader_options
from ks100.cli.progress import progress_bar
from ks100.cli.tables import percent, print_table
from ks100.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.captures import CaptureSet
    from models.card import ModelCard
    from models.evaluation.cells import CriticalCell
    from models.evaluation.metrics import Evaluation

__all__ = ["command", "print_cells", "print_worst"]


@click.command(name="evaluate")
@click.argument("graph", type=click.Path(path_type=Path), required=False)
@click.option("--captures", type=click.Path(path_type=Path), required=True,
              help="A stored set, or a dataset's annotations.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Also write the evaluation as JSON.")
@click.option("--model", default="", help="Name of the model, by default that of the file; or GRAPH itself.")
@click.option("--card", "card_file", type=click.Path(path_type=Path, dir_okay=False),
              help="Model card; default: GRAPH's name with .card.toml.")  # fmt: skip
@click.option("--float", "parent", type=click.Path(path_type=Path, dir_okay=False),
              help="Float graph, the reference for outputs that are not decoded (raw).")  # fmt: skip
@click.option(
    "--runtime", type=click.Choice(["litert", "tflite-runtime"]), help="Default: the preferred installed one."
)
@click.option("--limit", type=click.IntRange(1), help="Use only this many captures, spread over the set.")
@click.option("--cells", type=click.Path(path_type=Path), help="Critical cells (TOML, see docs/evaluation.md).")
@band_option
@click.option("--worst", type=click.IntRange(0), default=5, show_default=True,
              help="Show so many of the frames with the most missed objects.")  # fmt: skip
def command(
    graph: Path | None, captures: Path, out: Path | None, model: str, card_file: Path | None, parent: Path | None,
    runtime: str | None, limit: int | None, cells: Path | None, band: str | None, worst: int,
) -> None:  # fmt: skip
    """Run GRAPH (a .tflite or .ksm) on captures on this host; print AP50 by class and condition, recall, errors.

    A graph that is not one of the project's own networks needs a model card: ks100 card GRAPH writes a draft.
    """
    from ks100.steps.captures import load_captures
    from ks100.steps.evaluating import evaluate_graph
    from models.evaluation.cells import DEFAULT_CELLS, load_cells
    from models.evaluation.evaluation import Metric

    graph, model = _graph(graph, model)
    card = _card(graph, card_file)  # before the captures, which take longer to read
    watched = DEFAULT_CELLS if cells is None else load_cells(cells, card.classes)
    with progress_bar("read") as progress:
        chosen, remarks = load_captures(captures, options=reader_options(band, progress, card.classes))
    chosen = chosen.labelled
    if card.detects and not set(chosen.classes) & set(card.classes):
        remarks += (f"its classes ({', '.join(chosen.classes)}) are none of the card's: every object is ignored",)
    if limit is not None and limit < len(chosen):
        chosen = chosen.subset([round(i * len(chosen) / limit) for i in range(limit)])
    with progress_bar("evaluate") as progress:
        result = evaluate_graph(graph, chosen, progress, model=model, runtime=runtime, card=card, parent=parent)
    for remark in remarks:
        click.echo(f"{captures}: {remark}")
    _print(result)
    if result.metric is Metric.AP50:
        chosen = chosen.with_classes(result.classes)
        print_cells(chosen, (result,), watched)
        print_worst(chosen, result, None, worst)
    if out is not None:
        result.save(out)


def _graph(graph: Path | None, model: str) -> tuple[Path, str]:
    """Return the graph, an argument or --model, and the model's name."""
    if graph is not None:
        return graph, model
    if not model:
        raise click.UsageError("Missing argument 'GRAPH'.")
    return Path(model), ""


def _card(graph: Path, card_file: Path | None) -> ModelCard:
    """Return the card to evaluate with; for a package, only the one signed into it."""
    from firmware_bridge.device.graph import Graph
    from ks100.steps.evaluating import card_for, package_card, read_graph
    from models.card import ModelCard

    parsed = Graph.parse(read_graph(graph))
    card = card_for(graph) if card_file is None else ModelCard.load(card_file)
    signed = package_card(graph)
    if signed is not None and signed.record() != card.record():
        raise UsageError(f"--card {card_file} is not the card signed into {graph}; omit --card")
    card.check(parsed)
    return card


def _print(result: Evaluation) -> None:
    from models.evaluation.class_scores import part_scores
    from models.evaluation.evaluation import Metric

    errors = {(part.axis, part.category): part for part in result.slices}
    rows = []
    for score in part_scores(result):
        part = errors.get((score.axis, score.category))
        velocity = math.nan if part is None else part.velocity_error_mps
        interval = "—" if math.isnan(score.low) else f"{percent(score.low)} … {percent(score.high)}"
        rows.append((
            "all" if score.axis == "all" else f"{score.axis}: {score.category}", str(score.frames), str(score.objects),
            percent(score.ap50), interval, percent(math.nan if part is None else part.recall),
            percent(math.nan if part is None else part.range_error),
            "—" if math.isnan(velocity) else f"{velocity:.1f}",
        ))  # fmt: skip
    metric = result.metric.value + (" dB" if result.metric is Metric.SQNR else "")
    columns = (
        ">frames", ">objects", f">{metric}", ">95 % interval", ">recall", ">range error %", ">velocity error m/s",
    )  # fmt: skip
    print_table(("class or condition", *columns), rows, title=f"{result.model} on {result.pool}")
    if result.metric is not Metric.AP50:
        click.echo("measured on this host")
        return
    click.echo(
        f"AP {percent(result.ap)}, AP small {percent(result.ap_small)}; recall and errors at 1 false alarm per frame "
        f"(score {result.score:.2f}); measured on this host"
    )


def print_cells(captures: CaptureSet, evaluations: Sequence[Evaluation], cells: Sequence[CriticalCell]) -> None:
    """Print the recall of each evaluation in the critical cells with objects in these captures."""
    from models.evaluation.cells import cell_scores

    rows = []
    for scores in zip(*(cell_scores(captures, one, cells) for one in evaluations), strict=True):
        if scores[0].objects:
            shown = [f"{percent(s.recall)} ({percent(s.low)} … {percent(s.high)})" for s in scores]
            rows.append((scores[0].name, str(scores[0].frames), str(scores[0].objects), *shown))
    if rows:
        columns = [f">{one.model}" for one in evaluations]
        print_table(("cell", ">frames", ">objects", *columns), rows, title="Recall % in critical cells (95 % interval)")


def print_worst(captures: CaptureSet, candidate: Evaluation, parent: Evaluation | None, count: int) -> None:
    """Print the worst frames of the candidate and the objects it misses."""
    from models.evaluation.explain import worst_frames

    frames = worst_frames(captures, candidate, parent, count) if count else ()
    if not frames:
        return
    rows = [
        (
            frame.id, ", ".join(category for _, category in frame.conditions),
            f"{len(frame.missed)} of {frame.objects}",
            "; ".join(str(item) for item in frame.missed[:2]) + ("; ..." if len(frame.missed) > 2 else ""),
        )
        for frame in frames
    ]  # fmt: skip
    print_table(("frame", "conditions", ">missed", "what"), rows, title=f"Worst frames of {candidate.model}")
