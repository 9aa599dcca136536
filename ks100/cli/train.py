"""``ks100 train``: train a float network from captures and a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.custody_options import custody_options
from ks100.cli.progress import progress_bar

if TYPE_CHECKING:
    from ks100.custody.recorder import ProvenanceRecorder

__all__ = ["command"]


@click.command(name="train")
@click.option("--captures", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True,
              help="Folder with the pools train/ and validation/.")  # fmt: skip
@click.option("--recipe", default="fusion-small-demo", show_default=True, help="A recipe's name, or a TOML file.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the network.")
@click.option("--start", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="Folder of the trained network that the recipe starts from.")  # fmt: skip
@click.option("--fresh", is_flag=True, help="Start over instead of resuming from the folder's checkpoint.")
@custody_options
def command(
    captures: Path, recipe: str, out: Path, start: Path | None, fresh: bool, recorder: ProvenanceRecorder | None
) -> None:
    """Train a float network; interrupted training resumes from its last checkpoint."""
    from models.captures import stored_length
    from models.training.recipe import Recipe

    Recipe.load(recipe)
    for pool in ("train", "validation"):
        stored_length(captures / pool)
    from ks100.steps.training import train_float  # TensorFlow takes seconds to import

    with progress_bar("train") as progress:
        summary = train_float(captures, recipe, out, progress, start=start, resume=not fresh)
    click.echo(f"{out}: {summary}")
    if recorder is not None:
        from ks100.steps import provenance

        sets = [provenance.data_of(captures / name) for name in ("train", "validation")]
        provenance.record_training(recorder, out, sets)
