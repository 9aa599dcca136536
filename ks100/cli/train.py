"""``ks100 train``: train a float network from captures and a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.progress import progress_bar
from ks100.cli.stating import custody_options

if TYPE_CHECKING:
    from ks100.steps.chronicle import Chronicle

__all__ = ["command"]


@click.command(name="train")
@click.option("--captures", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True,
              help="Folder with the pools train/ and validation/.")  # fmt: skip
@click.option("--recipe", default="fusion-small-demo", show_default=True, help="A recipe's name, or a TOML file.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the network.")
@click.option("--fresh", is_flag=True, help="Start anew instead of resuming from the folder's checkpoint.")
@custody_options
def command(captures: Path, recipe: str, out: Path, fresh: bool, chronicle: Chronicle | None) -> None:
    """Train a float network; an interrupted training resumes from its last checkpoint."""
    from ks100.steps.networks import train_float

    with progress_bar("train") as progress:
        summary = train_float(captures, recipe, out, progress, resume=not fresh)
    click.echo(f"{out}: {summary}")
    if chronicle is not None:
        from ks100.steps import statements

        sets = [statements.data_of(captures / name) for name in ("train", "validation")]
        statements.state_training(chronicle, out, sets)
