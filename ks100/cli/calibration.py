"""``ks100 calibration``: draw a calibration set, and check it against evaluation captures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.band_option import band_option, reader_options
from ks100.cli.progress import progress_bar
from ks100.cli.tables import print_table
from ks100.errors import ExitCode

if TYPE_CHECKING:
    from models.curation import ActivationReport, Coverage, TensorReport

__all__ = ["command"]

_SET = click.Path(path_type=Path)
_SHOWN = 8


@click.group(name="calibration")
def command() -> None:
    """Draw a calibration set that covers every condition; check one against evaluation captures."""


@command.command()
@click.argument("captures", type=_SET)
@click.option("--count", type=click.IntRange(1), default=128, show_default=True, help="Captures to draw.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Breaks ties.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder to write.")
def build(captures: Path, count: int, seed: int, out: Path) -> None:
    """Draw a calibration set from CAPTURES with equal numbers of each condition category and class."""
    from ks100.steps.calibration import build_calibration
    from models.curation import coverage

    made = build_calibration(captures, count, seed, out)
    _print_coverage(coverage(made), with_evaluation=False)
    click.echo(f"{out}: {len(made)} captures of {len({c.scene for c in made.captures})} scenes, digest {made.digest}")


@command.command()
@click.argument("calibration", type=_SET)
@click.option("--evaluation", type=_SET, required=True, help="Captures like those in the field.")
@click.option("--graph", type=_SET, help="The float .tflite; compares its activations too.")
@click.option("--frames", type=click.IntRange(1), default=128, show_default=True,
              help="Evaluation captures to run the graph on, spread over the set.")  # fmt: skip
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), help="Also write the results as JSON.")
@click.option("--strict", is_flag=True, help="Fail on warnings too.")
def check(calibration: Path, evaluation: Path, graph: Path | None, frames: int, save: Path | None, strict: bool) -> int:
    """Show the coverage of another set's conditions by CALIBRATION, and the drift of activations between the sets.

    Exit code 1 if a category is missing or the sets share a scene. Warnings: categories with few captures; activations
    that drift, clip, need more data, or have a range set by a single condition.
    """
    from ks100.steps.calibration import check_calibration

    with progress_bar("activations") as progress:
        result = check_calibration(calibration, evaluation, graph, frames, progress)
    if save is not None:
        result.save(save)
    _print_coverage(result.coverage, with_evaluation=True)
    if result.activations is not None:
        _print_activations(result.activations)
    for line in result.failures:
        click.echo(f"failed: {line}")
    for line in result.warnings:
        click.echo(f"warning: {line}")
    if not result.failures and not result.warnings:
        click.echo("no problems found")
    return ExitCode.LIMIT_FAILED if result.failures or (strict and result.warnings) else ExitCode.PASS


def _print_coverage(found: Coverage, *, with_evaluation: bool) -> None:
    columns = ["axis", "category", ">calibration"] + [">evaluation"] * with_evaluation + [""]
    rows = [
        [item.axis, item.category, str(item.calibration), *([str(item.evaluation)] if with_evaluation else []),
         "missing" if item.missing else "few" if item.thin else ""]
        for item in found.categories
    ]  # fmt: skip
    print_table(columns, rows, title=f"Coverage: {found.frames} captures of {found.scenes} scenes")


def _print_activations(report: ActivationReport) -> None:
    """Print the tensors that differ most."""
    far = sorted(report.tensors, key=lambda t: -t.distance)[:_SHOWN]
    columns = ("activation", ">calibration range", ">distance", ">by chance", ">clipped %", "range set by")
    rows = [
        (
            t.name,
            f"{t.low:.3g} … {t.high:.3g}",
            f"{t.distance:.3f}",
            f"{t.chance:.3f}",
            f"{100 * t.clipped:.3f}",
            _setter(t),
        )
        for t in far
    ]
    print_table(columns, rows, title=f"The {len(far)} of {len(report.tensors)} activations that differ most")
    click.echo("distance: W1 to the evaluation's values in standard deviations; by chance: between halves of the set")


def _setter(tensor: TensorReport) -> str:
    return (
        ""
        if tensor.dominant is None
        else f"{tensor.dominant.axis} {tensor.dominant.category} ({100 * tensor.dominant.fraction:.0f} %)"
    )


@command.command()
@click.argument("graph", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--captures", type=click.Path(path_type=Path), required=True,
              help="A stored set, or a dataset's annotations.")  # fmt: skip
@click.option("--card", "card_file", type=click.Path(path_type=Path, dir_okay=False),
              help="The model card; GRAPH's name with .card.toml otherwise.")  # fmt: skip
@click.option("--count", type=click.IntRange(1), default=128, show_default=True, help="Captures, spread over the set.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="A new folder.")
@band_option
def samples(graph: Path, captures: Path, card_file: Path | None, count: int, out: Path, band: str | None) -> None:
    """Write captures as samples of the float GRAPH (.npz), as its model card says.

    Quantize, sensitivity and plan take such a folder where they take captures.
    """
    from firmware_bridge.device.graph import Graph
    from ks100.steps.captures import load_captures
    from ks100.steps.evaluating import card_for, read_graph
    from models.card import ModelCard
    from models.quant.card_samples import card_samples
    from models.quant.sample_files import write_samples

    parsed = Graph.parse(read_graph(graph))
    card = card_for(graph) if card_file is None else ModelCard.load(card_file)
    with progress_bar("read") as progress:
        chosen, _ = load_captures(captures, options=reader_options(band, progress, card.classes))
    made = card_samples(card, parsed, chosen, count)
    write_samples(out, made)
    click.echo(f"{out}: {len(made)} samples of {len(chosen)} captures")
