"""``ks100 import``: a network of another framework as a float graph with a model card."""

from __future__ import annotations

from pathlib import Path

import click

from ks100.cli.tables import print_table
from ks100.errors import UsageError

__all__ = ["command"]


@click.command(name="import")
@click.argument("source", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of graph and card."
)
@click.option("--classes", default="", metavar="NAME,NAME,...", help="The class names, in the order of the outputs.")
@click.option("--shape", "shapes", multiple=True, metavar="NAME=1,H,W,C",
              help="The shape of an input that leaves it open; repeatable.")  # fmt: skip
@click.option("--python", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="For ONNX and PyTorch: an interpreter that has the converter; one is made otherwise.")  # fmt: skip
def command(source: Path, out: Path, classes: str, shapes: tuple[str, ...], python: Path | None) -> None:
    """Make a float .tflite of SOURCE, and begin its model card.

    SOURCE is a Keras 3 file (.keras), the folder of a SavedModel, an ONNX file, or a PyTorch exported program (.pt2).
    The graph's outputs are compared with those of the source's own runtime; one that differs is refused.
    """
    from firmware_bridge.files import write_atomically
    from models.card import CARD_SUFFIX
    from models.card.guess import guess_card
    from models.frontends import import_network

    found = import_network(source, dict(map(_shape, shapes)), lambda text: click.echo(text, err=True), python=python)
    guess = guess_card(found.model, tuple(name.strip() for name in classes.split(",")) if classes else ())
    name = source.stem or source.resolve().name
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / f"{name}.tflite", found.model)
    guess.card.save(out / f"{name}{CARD_SUFFIX}")
    for line in (*found.changes, *(f"guessed {line}" for line in guess.lines)):
        click.echo(line)
    rows = [
        (match.name, match.source, f"{match.difference:.2g}", f"{match.largest:.3g}", f"{match.cosine:.6f}")
        for match in found.outputs
    ]
    columns = ("output", "in the source", ">largest difference", ">largest value", ">cosine")
    print_table(columns, rows, title="The graph against the source's own runtime, on random inputs")
    click.echo(f"{out}: {name}.tflite, {name}{CARD_SUFFIX}; correct the card where a guess is wrong")


def _shape(text: str) -> tuple[str, tuple[int, ...]]:
    name, _, sides = text.partition("=")
    try:
        shape = tuple(int(side) for side in sides.split(","))
    except ValueError:
        shape = ()
    if not name or not shape or min(shape) < 1:
        raise UsageError(f"--shape {text}: give NAME=1,HEIGHT,WIDTH,CHANNELS, e.g. images=1,320,320,3")
    return name, shape
