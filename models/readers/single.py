"""Detecting the band of each image in single-band datasets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from models.readers.assemble import Options
from models.readers.bands import Band, band_of_name, guess_band
from models.readers.files import relative
from models.readers.report import ReportBuilder

__all__ = ["bands_of"]


def bands_of(images: Sequence[Path], root: Path, options: Options | None, report: ReportBuilder) -> list[Band]:
    """Return each image's band: from the options, from folder and file names, or from the pixels of a sample."""
    if options is not None and options.band is not None:
        found: list[Band | None] = [options.band] * len(images)
    else:
        found = [band_of_name(relative(image, root)) for image in images]
    unnamed = [image for image, band in zip(images, found, strict=True) if band is None]
    look = guess_band(unnamed) if unnamed else Band.LWIR
    bands = [band or look for band in found]
    guessed = " (guessed from the pixels; --band overrides)" if unnamed else ""
    if Band.EO not in bands:
        report.note(f"thermal only: there are no visible frames{guessed}")
    elif Band.LWIR not in bands:
        report.note(f"visible only: there are no thermal frames{guessed}")
    else:
        report.note(f"no pairs: {bands.count(Band.EO)} visible and {bands.count(Band.LWIR)} thermal frames")
    return bands
