"""``ks100 evaluate``: measure a graph on captures, by condition."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.band_option import band_option, reader_options
from ks100.cli.progress import progress_bar
from ks100.cli.tables import print_table, share_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.captures import CaptureSet
    from models.evaluation.cells import CriticalCell
    from models.evaluation.metrics import Evaluation

__all__ = ["command", "print_cells", "print_worst"]


@click.command(name="evaluate")
@click.argument("graph", type=click.Path(path_type=Path))
@click.option("--captures", type=click.Path(path_type=Path), required=True,
              help="A stored set, or a dataset's annotations.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Also write the evaluation as JSON.")
@click.option("--model", default="", help="What to call the model; the file's name otherwise.")
@click.option("--runtime", type=click.Choice(["litert", "tflite-runtime"]), help="The preferred one otherwise.")
@click.option("--limit", type=click.IntRange(1), help="Use so many captures, spread over the set.")
@click.option("--cells", type=click.Path(path_type=Path), help="Critical cells (TOML, see docs/evaluation.md).")
@band_option
@click.option("--worst", type=click.IntRange(0), default=5, show_default=True,
              help="Show so many of the frames with the most missed objects.")  # fmt: skip
def command(
    graph: Path, captures: Path, out: Path | None, model: str, runtime: str | None, limit: int | None,
    cells: Path | None, band: str | None, worst: int,
) -> None:  # fmt: skip
    """Run GRAPH (a .tflite or a .ksm) over captures on this host; print AP50, recall, range and velocity error."""
    from firmware_bridge.device.graph import Graph
    from ks100.steps.captures import load_captures
    from ks100.steps.evaluating import evaluate_graph, read_graph
    from models.evaluation.cells import DEFAULT_CELLS, load_cells

    watched = DEFAULT_CELLS if cells is None else load_cells(cells)
    Graph.parse(read_graph(graph))  # before the captures, which take longer to read
    with progress_bar("read") as progress:
        chosen, remarks = load_captures(captures, options=reader_options(band, progress))
    chosen = chosen.labelled
    if limit is not None and limit < len(chosen):
        chosen = chosen.subset([round(i * len(chosen) / limit) for i in range(limit)])
    with progress_bar("evaluate") as progress:
        result = evaluate_graph(graph, chosen, progress, model=model, runtime=runtime)
    for remark in remarks:
        click.echo(f"{captures}: {remark}")
    _print(result)
    print_cells(chosen, (result,), watched)
    print_worst(chosen, result, None, worst)
    if out is not None:
        result.save(out)


def _print(result: Evaluation) -> None:
    rows = []
    for part in result.slices:
        name = "all" if part.axis == "all" else f"{part.axis}: {part.category}"
        velocity = part.velocity_error_mps
        rows.append((
            name, str(part.frames), str(part.objects), share_of(part.ap50), share_of(part.recall),
            share_of(part.range_error), "—" if velocity != velocity else f"{velocity:.1f}",
        ))  # fmt: skip
    columns = (">frames", ">objects", ">AP50", ">recall", ">range error %", ">velocity error m/s")
    print_table(("condition", *columns), rows, title=f"{result.model} on {result.pool}")
    click.echo(
        f"AP {share_of(result.ap)}, AP small {share_of(result.ap_small)}; recall and errors at 1 false alarm a frame "
        f"(score {result.score:.2f}); measured on this host"
    )


def print_cells(captures: CaptureSet, evaluations: Sequence[Evaluation], cells: Sequence[CriticalCell]) -> None:
    """Print the recall of each evaluation in the critical cells that these captures have objects of."""
    from models.evaluation.cells import cell_scores

    rows = []
    for scores in zip(*(cell_scores(captures, one, cells) for one in evaluations), strict=True):
        if scores[0].objects:
            shown = [f"{share_of(s.recall)} ({share_of(s.low)} … {share_of(s.high)})" for s in scores]
            rows.append((scores[0].name, str(scores[0].frames), str(scores[0].objects), *shown))
    if rows:
        columns = [f">{one.model}" for one in evaluations]
        print_table(("cell", ">frames", ">objects", *columns), rows, title="Recall % in critical cells (95 % interval)")


def print_worst(captures: CaptureSet, candidate: Evaluation, parent: Evaluation | None, count: int) -> None:
    """Print the frames on which the candidate fails most, and what it misses in them."""
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
