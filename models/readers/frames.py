"""Frames read in place from image files of both bands and any bit depth, cropped and aligned to one pixel grid."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.readers.bands import Band, ThermalUnit, thermal_counts, visible_levels
from models.readers.pixels import read_pixels

__all__ = ["FileFrames", "FramePaths", "FrameScaling"]


@dataclass(frozen=True, slots=True)
class FramePaths:
    """The files of one capture; a missing band is None.

    Attributes:
        eo: visible image.
        lwir: thermal image.
        width: width of the capture in pixels, after the crop.
        height: its height.
        unturned: band that was annotated as stored, ignoring its EXIF orientation.
    """

    eo: Path | None
    lwir: Path | None
    width: int
    height: int
    unturned: Band | None = None


@dataclass(frozen=True, slots=True)
class FrameScaling:
    """Conversion of a file's samples and pixels to those of a capture.

    Attributes:
        crop_px: border of both bands that is cropped.
        kelvin_per_count: of integer thermal files, if documented; counts are then 10 mK each.
        unit: of the samples of thermal files, if known.
        white_count: value of a white sample in visible files of more than 8 bits.
        eo_to_lwir: 3x3 homography from EO pixels to LWIR pixels, row by row, if the bands are not registered.
        reference: band that was annotated; the other one is aligned to it.
    """

    crop_px: int = 0
    kelvin_per_count: float | None = None
    unit: ThermalUnit | None = None
    white_count: float | None = None
    eo_to_lwir: tuple[float, ...] | None = None
    reference: Band = Band.LWIR


@dataclass(frozen=True)
class FileFrames:
    """Frame source over image files.

    Attributes:
        paths: one entry per capture.
        scaling: conversion of their samples and pixels.
    """

    paths: tuple[FramePaths, ...]
    scaling: FrameScaling = field(default_factory=FrameScaling)

    def eo(self, index: int) -> NDArray[np.uint8] | None:
        """Return the visible frame on the capture's grid, uint8 [H, W, 3]."""
        entry = self.paths[index]
        if entry.eo is None:
            return None
        image = Image.fromarray(visible_levels(self._pixels(entry.eo, Band.EO, entry), self.scaling.white_count))
        return np.asarray(self._aligned(image, Band.EO, entry), dtype=np.uint8)

    def lwir(self, index: int) -> NDArray[np.uint16] | None:
        """Return the thermal frame, uint16 [H, W]; an 8-bit file fills the upper byte."""
        entry = self.paths[index]
        if entry.lwir is None:
            return None
        pixels = self._pixels(entry.lwir, Band.LWIR, entry)
        counts = thermal_counts(pixels, self.scaling.kelvin_per_count, self.scaling.unit)
        image = Image.fromarray(counts.astype(np.float32))
        aligned = self._aligned(image, Band.LWIR, entry)
        return counts if aligned is image else np.clip(np.rint(np.asarray(aligned)), 0, 65535).astype(np.uint16)

    def _aligned(self, image: Image.Image, band: Band, entry: FramePaths) -> Image.Image:
        """Return the image on the capture's grid, by the homography or by scaling; unchanged if it already is."""
        size = (entry.width, entry.height)
        paired = entry.eo is not None and entry.lwir is not None
        if self.scaling.eo_to_lwir is not None and paired and band is not self.scaling.reference:
            # Pillow needs the inverse: from pixels of the result to those of the source.
            forward = np.reshape(self.scaling.eo_to_lwir, (3, 3))
            back = np.linalg.inv(forward) if band is Band.EO else forward
            coefficients = tuple((back / back[2, 2]).ravel()[:8].tolist())
            fill = 0 if band is Band.EO else float(np.median(np.asarray(image)))
            return image.transform(
                size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR, fillcolor=fill
            )
        return image if image.size == size else image.resize(size, Image.Resampling.BILINEAR)

    def _pixels(self, path: Path, band: Band, entry: FramePaths) -> NDArray[Any]:
        pixels = read_pixels(path, turned=entry.unturned is not band)
        crop = self.scaling.crop_px
        return pixels[crop : pixels.shape[0] - crop, crop : pixels.shape[1] - crop] if crop else pixels
