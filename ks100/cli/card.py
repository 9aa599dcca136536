"""``ks100 card``: begin the model card of a graph."""

from __future__ import annotations

from pathlib import Path

import click

from ks100.errors import UsageError

__all__ = ["command"]


@click.command(name="card")
@click.argument("graph", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--classes", default="", metavar="NAME,NAME,...", help="The class names, in the order of the outputs.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="GRAPH's name with .card.toml otherwise.")
def command(graph: Path, classes: str, out: Path | None) -> None:
    """Begin the model card of GRAPH (.tflite): sizes, layout, and the decoding that its outputs suggest.

    Prints what it guessed: read it, and correct the card before you evaluate with it. A card that is there already
    is checked against the graph, and left as it is.
    """
    from firmware_bridge.device.graph import Graph
    from ks100.steps.evaluating import read_graph
    from models.card import CARD_SUFFIX, ModelCard
    from models.card.guess import guess_card

    data = read_graph(graph)
    path = out or graph.with_name(graph.stem + CARD_SUFFIX)
    if path.exists():
        if classes:
            raise UsageError(f"{path} is there already; change its classes there, or remove it")
        ModelCard.load(path).check(Graph.parse(data))
        click.echo(f"{path}: fits {graph}")
        return
    guess = guess_card(data, tuple(name.strip() for name in classes.split(",")) if classes else ())
    guess.card.save(path)
    for line in guess.lines:
        click.echo(f"guessed {line}")
    click.echo(f"{path}: begun; correct it where a guess is wrong")
