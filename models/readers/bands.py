"""The two bands of a capture: detecting a file's band, and converting samples to 8-bit colour or thermal counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import DataError
from models.readers.pixels import read_pixels

__all__ = ["Band", "ThermalUnit", "band_of_name", "guess_band", "thermal_counts", "visible_levels"]

_COUNTS_PER_KELVIN = 100.0
_ZERO_CELSIUS_K = 273.15
_LOW_PERCENT, _HIGH_PERCENT = 0.5, 99.5
_SAMPLES = 12
# A grey image stored as colour JPEG has channels that differ by a level or two.
_GREY_LEVELS = 6


class Band(Enum):
    """The two bands of a capture."""

    EO = "eo"
    LWIR = "lwir"


class ThermalUnit(Enum):
    """Unit of a thermal file's samples."""

    COUNTS = "counts"
    KELVIN = "kelvin"
    CELSIUS = "celsius"


_BAND_WORDS = {
    Band.EO: frozenset({"eo", "visible", "vis", "rgb", "color", "colour", "tv"}),
    Band.LWIR: frozenset({"lwir", "ir", "infrared", "thermal", "tir"}),
}


def band_of_name(path: str) -> Band | None:
    """Return the band in a path's name (``ir/val/a.jpg``), or None."""
    words = set(re.split(r"[^a-z0-9]+", path.lower()))
    found = [band for band, names in _BAND_WORDS.items() if words & names]
    return found[0] if len(found) == 1 else None


def guess_band(paths: Sequence[Path]) -> Band:
    """Return EO if some of the images have colour, LWIR if all are grey, in one channel or in three."""
    step = max(1, len(paths) // _SAMPLES)
    for path in paths[::step][:_SAMPLES]:
        try:
            pixels = read_pixels(path)
        except DataError:
            continue
        if pixels.ndim == 3:
            levels = pixels.astype(np.int32) >> (8 if pixels.dtype == np.uint16 else 0)
            # 99.9 %, since a camera's overlay may have a few coloured pixels.
            if np.percentile(levels.max(axis=2) - levels.min(axis=2), 99.9) > _GREY_LEVELS:
                return Band.EO
    return Band.LWIR


def visible_levels(pixels: NDArray[Any], white_count: float | None = None) -> NDArray[np.uint8]:
    """Return a visible frame, uint8 [H, W, 3].

    8-bit samples are unchanged. Others are scaled so that ``white_count`` is white; without it, floats in [0, 1] by
    255, and all others between the frame's 0.5 and 99.5 percentiles, by at most one level per count.

    Args:
        pixels: [H, W] or [H, W, 3], any type.
        white_count: value of a white sample.
    """
    if pixels.dtype != np.uint8:
        values = _finite(pixels)
        if white_count is not None:
            low, span = 0.0, float(white_count)
        elif pixels.dtype.kind == "f" and values.min() >= 0 and values.max() <= 1:
            low, span = 0.0, 1.0
        else:
            low, high = (float(v) for v in np.percentile(values, (_LOW_PERCENT, _HIGH_PERCENT)))
            span = max(high - low, 255.0 if pixels.dtype.kind != "f" else 1e-9)
        pixels = np.clip(np.rint((values - low) * (255.0 / span)), 0, 255).astype(np.uint8)
    return np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels


def thermal_counts(
    pixels: NDArray[Any], kelvin_per_count: float | None = None, unit: ThermalUnit | None = None
) -> NDArray[np.uint16]:
    """Return a thermal frame as counts, uint16 [H, W].

    Three channels are reduced to their luminance. 8-bit samples fill the upper byte. If the temperature is known, a
    count is 10 mK: floats are kelvin if the frame is within 150 ... 1000, fractions of full scale within [0, 1], counts
    above 1000, and degrees Celsius otherwise.

    Args:
        pixels: [H, W] or [H, W, 3], any type.
        kelvin_per_count: of integer samples.
        unit: of the samples, if known.
    """
    if pixels.ndim == 3:
        # ITU-R BT.601, as in Pillow's convert("L").
        grey = pixels.astype(np.float64) @ (0.299, 0.587, 0.114)
        pixels = np.rint(grey).astype(pixels.dtype) if pixels.dtype.kind != "f" else grey
    if pixels.dtype == np.uint8 and kelvin_per_count is None and unit is None:
        return pixels.astype(np.uint16) << np.uint16(8)
    values = _finite(pixels)
    if kelvin_per_count is not None:
        values = values * (kelvin_per_count * _COUNTS_PER_KELVIN)
    elif unit is not None or pixels.dtype.kind == "f":
        values = _of_unit(values, unit or _unit_of(values))
    else:
        if values.min() < 0:
            values = values + 32768.0  # signed files; gain control removes any offset
        while values.max() > 65535:
            values = values / 10.0  # e.g. millikelvin
    return np.clip(np.rint(values), 0, 65535).astype(np.uint16)


def _unit_of(values: NDArray[np.float64]) -> ThermalUnit | None:
    """Infer the unit of a float frame; None for fractions of full scale."""
    low, high = float(values.min()), float(values.max())
    if low >= 0 and high <= 1:
        return None
    if high > 1000:
        return ThermalUnit.COUNTS
    return ThermalUnit.KELVIN if low >= 150 else ThermalUnit.CELSIUS


def _of_unit(values: NDArray[np.float64], unit: ThermalUnit | None) -> NDArray[np.float64]:
    if unit is None:
        return values * 65535.0
    if unit is ThermalUnit.COUNTS:
        return values
    return (values + (_ZERO_CELSIUS_K if unit is ThermalUnit.CELSIUS else 0.0)) * _COUNTS_PER_KELVIN


def _finite(pixels: NDArray[Any]) -> NDArray[np.float64]:
    """Return float64 samples; dead pixels (NaN, infinite) get the lowest finite value."""
    values = pixels.astype(np.float64)
    good = np.isfinite(values)
    if not good.all():
        values = np.where(good, values, values[good].min() if good.any() else 0.0)
    return values
