"""Pixels of image files at full depth (16 bits, floats), in the orientation of their EXIF data.

Pillow reads the files, but reduces 16-bit colour to 8 bits and does not apply the orientation.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from models.errors import DataError

__all__ = ["IMAGE_SUFFIXES", "MAX_PIXELS", "ImageDefect", "ImageInfo", "image_info", "read_pixels"]

IMAGE_SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".tif", ".tiff", ".bmp", ".webp", ".pgm", ".ppm", ".pnm", ".jp2",
})  # fmt: skip

MAX_PIXELS = 89_478_485
"""Pillow's limit for a warning (a quarter of a gigabyte of colour), far above the cameras in question."""

_ORIENTATION = 0x0112
# Exceptions of Pillow's readers on truncated, forged or unsupported files.
_UNREADABLE = (
    OSError, SyntaxError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError, EOFError, MemoryError,
    NotImplementedError, RuntimeError, struct.error, zlib.error,
)  # fmt: skip


class ImageDefect(Enum):
    """Why a file cannot be used as a frame."""

    BROKEN = "cannot be decoded"
    HUGE = f"has, or claims, more than {MAX_PIXELS} pixels"


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """Dimensions of an image file.

    Attributes:
        size: width and height as displayed, in its EXIF orientation.
        stored: width and height as stored.
    """

    size: tuple[int, int]
    stored: tuple[int, int]


class _HugeError(Exception):
    """The header claims too many pixels."""


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    with warnings.catch_warnings():
        # Pillow warns about sizes that are checked here.
        warnings.simplefilter("ignore")
        try:
            image = Image.open(path)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise _HugeError from error
        with image:
            if image.width * image.height > MAX_PIXELS:
                raise _HugeError
            if image.format == "TIFF" and image.tile and image.tile[0][0] == "raw":
                # Pillow 13 swaps rows and columns of rotated uncompressed TIFFs.
                image._size = _tiff_size(image)  # noqa: SLF001
            yield image


def _tiff_size(image: Any) -> tuple[int, int]:
    return int(image.tag_v2[256]), int(image.tag_v2[257])


def image_info(path: Path, *, decode: bool = True) -> ImageInfo | ImageDefect:
    """Return an image file's dimensions, or its defect.

    Args:
        path: the file.
        decode: decode the pixels too, to find truncated files.
    """
    try:
        with _opened(path) as image:
            if decode:
                image.load()
            turn = _turn(image)
            stored = image.size
    except _HugeError:
        return ImageDefect.HUGE
    except _UNREADABLE:
        return ImageDefect.BROKEN
    return ImageInfo((stored[1], stored[0]) if turn >= 5 else stored, stored)


def read_pixels(path: Path, *, turned: bool = True) -> NDArray[Any]:
    """Return an image's pixels, [H, W] or [H, W, 3], of uint8, uint16, int32 or float32.

    Args:
        path: the file.
        turned: as displayed; otherwise as stored.

    Raises:
        DataError: it cannot be decoded, or has too many pixels.
    """
    try:
        with _opened(path) as image:
            wide = _wide_mode(image)
            pixels = _values(image)
            turn = _turn(image)
        if wide is not None:
            with _opened(path) as image:
                assert isinstance(image, ImageFile.ImageFile)
                # The other byte of each sample: the same decoder with reversed byte order.
                image.tile = [tile._replace(args=_with_mode(tile.args, wide)) for tile in image.tile]
                pixels = pixels.astype(np.uint16) << np.uint16(8) | _values(image)
    except _HugeError as error:
        raise DataError(f"{path}: {ImageDefect.HUGE.value}; leave it out of the annotations") from error
    except _UNREADABLE as error:
        raise DataError(f"{path}: cannot be decoded ({error}); leave it out of the annotations") from error
    return np.ascontiguousarray(_turned(pixels, turn) if turned else pixels)


def _values(image: Image.Image) -> NDArray[Any]:
    """Return unchanged samples, [H, W] for grey and [H, W, 3] for colour."""
    image.load()
    if image.mode in {"L", "I", "F"} or image.mode.startswith("I;16"):
        values = np.asarray(image)
        return values.astype(values.dtype.newbyteorder("="))
    if image.mode in {"1", "LA", "La"}:
        return np.asarray(image.convert("L"))
    return np.asarray(image.convert("RGB"))


def _wide_mode(image: Any) -> str | None:
    """Return the raw mode of the low bytes of 16-bit colour samples, which Pillow reads as 8 bits."""
    mode = image.tile[0].args if image.tile else ""
    mode = mode if isinstance(mode, str) else (mode[0] if mode else "")
    opposite = {"B": "L", "L": "B"}
    if not isinstance(mode, str) or mode[:-1] not in {"RGB;16", "RGBA;16", "RGBX;16"}:
        return None
    order = mode[-1] if mode[-1] != "N" else ("L" if np.little_endian else "B")
    return mode[:-1] + opposite[order]


def _with_mode(args: Any, mode: str) -> Any:
    return mode if isinstance(args, str) else (mode, *args[1:])


def _turn(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; Pillow applies it to TIFFs on loading."""
    value = image.getexif().get(_ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 and image.format != "TIFF" else 1


def _turned(pixels: NDArray[Any], turn: int) -> NDArray[Any]:
    """Rotate and mirror according to the orientation of EXIF 2.32, section 4.6.4."""
    if turn in {2, 4, 5, 7}:
        pixels = {2: np.fliplr, 4: np.flipud, 5: np.fliplr, 7: np.fliplr}[turn](pixels)
    return np.rot90(pixels, {3: 2, 5: 1, 6: -1, 7: -1, 8: 1}.get(turn, 0))
