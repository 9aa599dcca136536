"""Frames read in place: image files of both bands, 8 or 16 bit, cropped and aligned onto one pixel grid."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.errors import DataError

__all__ = ["Band", "FileFrames", "FramePaths", "image_size"]


_COUNTS_PER_KELVIN = 100.0


class Band(Enum):
    """The two bands of a capture."""

    EO = "eo"
    LWIR = "lwir"


@dataclass(frozen=True, slots=True)
class FramePaths:
    """The files of one capture; a band that a dataset lacks is None.

    Attributes:
        eo: visible image.
        lwir: thermal image.
        width: pixels of the capture, after the crop.
        height: pixels of the capture, after the crop.
    """

    eo: Path | None
    lwir: Path | None
    width: int
    height: int


@dataclass(frozen=True)
class FileFrames:
    """Frame source over image files.

    Attributes:
        paths: one entry for each capture.
        crop_px: border that both bands carry and that is cut off.
        kelvin_per_count: of 16-bit thermal files, where it is documented; counts are then 10 mK each.
        eo_to_lwir: 3x3 homography from EO pixels to LWIR pixels, row by row, where the bands are not registered.
    """

    paths: tuple[FramePaths, ...]
    crop_px: int = 0
    kelvin_per_count: float | None = None
    eo_to_lwir: tuple[float, ...] | None = None

    def eo(self, index: int) -> NDArray[np.uint8] | None:
        """Return the visible frame on the capture's grid, uint8 [H, W, 3]."""
        entry = self.paths[index]
        if entry.eo is None:
            return None
        image = self._open(entry.eo).convert("RGB")
        size = (entry.width, entry.height)
        if self.eo_to_lwir is not None:
            back = np.linalg.inv(np.reshape(self.eo_to_lwir, (3, 3)))
            coefficients = tuple((back / back[2, 2]).ravel()[:8].tolist())
            image = image.transform(size, Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR)
        elif image.size != size:
            image = image.resize(size, Image.Resampling.BILINEAR)
        return np.asarray(image, dtype=np.uint8)

    def lwir(self, index: int) -> NDArray[np.uint16] | None:
        """Return the thermal frame, uint16 [H, W]; an 8-bit file fills the upper byte."""
        entry = self.paths[index]
        if entry.lwir is None:
            return None
        image = self._open(entry.lwir)
        if image.mode.startswith("I"):
            counts = np.asarray(image).astype(np.float64)
            if self.kelvin_per_count is not None:
                counts = counts * (self.kelvin_per_count * _COUNTS_PER_KELVIN)
            wide = np.clip(np.rint(counts), 0, 65535).astype(np.uint16)
        else:
            wide = np.asarray(image.convert("L")).astype(np.uint16) << np.uint16(8)
        if wide.shape != (entry.height, entry.width):
            scaled = Image.fromarray(wide.astype(np.float32)).resize((entry.width, entry.height))
            wide = np.asarray(scaled).astype(np.uint16)
        return wide

    def _open(self, path: Path) -> Image.Image:
        try:
            with Image.open(path) as file:
                file.load()
                image = file.copy()
        except (OSError, SyntaxError, ValueError) as error:
            raise DataError(f"{path}: cannot be decoded ({error}); leave it out of the annotations") from error
        if self.crop_px:
            image = image.crop((self.crop_px, self.crop_px, image.width - self.crop_px, image.height - self.crop_px))
        return image


def image_size(path: Path, *, decode: bool = True) -> tuple[tuple[int, int], str] | None:
    """Return ((width, height), mode) of an image file, or None when it cannot be decoded.

    Args:
        path: the file.
        decode: read the pixels too, so that a truncated file is found.
    """
    try:
        with Image.open(path) as image:
            if decode:
                image.load()
            return image.size, image.mode
    except (OSError, SyntaxError, ValueError):
        return None
