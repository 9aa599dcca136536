"""``ks100 zoo``: the trained networks that ship with the project."""

from __future__ import annotations

from pathlib import Path

import click

from ks100.cli.progress import progress_bar
from ks100.cli.tables import print_table

__all__ = ["command"]


@click.group(name="zoo")
def command() -> None:
    """List the trained networks that ship with the project; export one."""


@command.command(name="list")
def list_networks() -> None:
    """List the networks with their figures."""
    from models import zoo

    rows = []
    for name in zoo.known_networks():
        found = zoo.record(name)
        whole = {part.pool: part for part in found.figures if part.axis == "all"}
        rows += [
            (name, pool, f"{100 * part.ap50:.1f}", str(part.objects), found.commit[:10]) for pool, part in whole.items()
        ]
    print_table(("network", "pool", "AP50, points", "objects", "trained by"), rows)


@command.command()
@click.argument("name")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the network.")
def export(name: str, out: Path) -> None:
    """Write NAME in the form of `ks100 train`: weights, recipe, history, the float graph and its card."""
    from ks100.steps.training import write_float_graph
    from models import zoo

    network = zoo.load(name)
    network.save(out)
    write_float_graph(network, out)
    click.echo(f"{out}: {name}, weights {network.digest}")


_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)


@command.command()
@click.argument("network", type=_FOLDER)
@click.option("--stage", type=_FOLDER, multiple=True, help="A network of an earlier stage, in order.")
@click.option("--pool", type=_FOLDER, multiple=True, required=True, help="A set of captures to measure it on.")
@click.option("--made-by", multiple=True, help="A command that generates the captures or trains the network.")
@click.option("--commit", required=True, help="Commit of the training code.")
@click.option("--notes", default="", help="Remarks for users.")
@click.option("--out", type=_FOLDER, required=True, help="Folder for NAME.npz and NAME.json, e.g. models/zoo.")
def add(
    network: Path, stage: tuple[Path, ...], pool: tuple[Path, ...], made_by: tuple[str, ...], commit: str, notes: str,
    out: Path,
) -> None:  # fmt: skip
    """Publish the trained NETWORK in the zoo: 16-bit weights, and a record with figures measured on them."""
    from ks100.steps.captures import load_captures
    from models.training.network import TrainedNetwork
    from models.zoo.publish import publish

    with progress_bar("zoo") as progress:
        made = publish(
            TrainedNetwork.load(network),
            [load_captures(folder)[0].labelled for folder in pool],
            out,
            stages=[TrainedNetwork.load(folder) for folder in stage],
            captures=made_by,
            commit=commit,
            notes=notes,
            progress=lambda name, done, total: progress(done / total, f"{name} {done}/{total}"),
        )
    for part in made.figures:
        if part.axis == "all":
            click.echo(f"{made.name} on {part.pool}: AP50 {100 * part.ap50:.1f} points, {part.objects} objects")
