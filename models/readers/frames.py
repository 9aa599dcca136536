"""Frames read in place: image files of both bands, of any depth, cropped and aligned onto one pixel grid."""

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
    """The files of one capture; a band that a dataset lacks is None.

    Attributes:
        eo: visible image.
        lwir: thermal image.
        width: pixels of the capture, after the crop.
        height: pixels of the capture, after the crop.
        unturned: a band that was annotated as it lies in its file, in spite of its EXIF orientation.
    """

    eo: Path | None
    lwir: Path | None
    width: int
    height: int
    unturned: Band | None = None


@dataclass(frozen=True, slots=True)
class FrameScaling:
    """How samples and pixels of files become those of captures.

    Attributes:
        crop_px: border that both bands carry and that is cut off.
        kelvin_per_count: of integer thermal files, where it is documented; counts are then 10 mK each.
        unit: of the samples of thermal files, where it is known.
        white_count: the sample of visible files that is white, where they have more than 8 bits.
        eo_to_lwir: 3x3 homography from EO pixels to LWIR pixels, row by row, where the bands are not registered.
        reference: band that boxes are drawn on; the other one is brought onto its pixels.
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
        paths: one entry for each capture.
        scaling: how their samples and pixels become those of captures.
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
        """Return the image on the capture's grid, by the homography or scaled; itself when it lies there."""
        size = (entry.width, entry.height)
        paired = entry.eo is not None and entry.lwir is not None
        if self.scaling.eo_to_lwir is not None and paired and band is not self.scaling.reference:
            # Pillow wants the way back: from the pixels of the result to those of the source.
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
