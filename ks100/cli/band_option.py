"""The option by which a command says what the images of a dataset of one band are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from models.progress import Progress

if TYPE_CHECKING:
    from models.readers import Options

__all__ = ["band_option", "reader_options"]

band_option = click.option(
    "--band", type=click.Choice(["eo", "lwir"]),
    help="What the images of a dataset of one band are; by their names and look otherwise.",
)  # fmt: skip


def reader_options(band: str | None, progress: Progress | None = None, classes: tuple[str, ...] = ()) -> Options:
    """Return how to read a dataset; ``classes`` are the names that a model has."""
    from models.readers import Band, Options

    def on_frame(done: int, total: int) -> None:
        if progress is not None:
            progress(done / total, f"{done}/{total} frames checked")

    return Options(band=None if band is None else Band(band), progress=on_frame, wanted=classes)
