"""The option for the band of a single-band dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from models.progress import Progress

if TYPE_CHECKING:
    from models.readers import Options

__all__ = ["band_option", "reader_options"]

band_option = click.option(
    "--band", type=click.Choice(["eo", "lwir"]),
    help="Band of a single-band dataset; by default guessed from names and pixels.",
)  # fmt: skip


def reader_options(band: str | None, progress: Progress | None = None, classes: tuple[str, ...] = ()) -> Options:
    """Return the options of reading a dataset; ``classes`` are the class names of a model."""
    from models.readers import Band, Options

    def on_frame(done: int, total: int) -> None:
        if progress is not None:
            progress(done / total, f"{done}/{total} frames checked")

    return Options(band=None if band is None else Band(band), progress=on_frame, wanted=classes)
