"""What training never shows: weather and sensor faults held out of every pool but one (out of distribution, OOD).

A scene of an OOD set has one kind, and scenes take turns. Weather changes the scene's air before it is drawn; a sensor
fault changes the stored frames, as the camera or its cable would.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from models.scenes.atmosphere import Atmosphere
from models.scenes.sensor import COUNTS_PER_KELVIN, blur

__all__ = ["WEATHER", "Ood", "air_of", "degrade", "kind_of"]

_EIGHT_BIT_SPAN_K = 80.0
_RAW_COUNTS_PER_KELVIN, _RAW_OFFSET = 25.0, 7_000.0
_ZERO_CELSIUS_K = 273.15
_DEAD_ROWS = 0.04


class Ood(StrEnum):
    """A kind of condition that is held out; the value is its category on the axis ``ood``."""

    FOG = "fog"
    """Visibility 120 to 400 m; droplets are large against both wavelengths, so the thermal band sees no farther."""
    DUST = "dust"
    """Blown dust, visibility 250 to 900 m, its light the colour of sand."""
    SNOW_CROSSOVER = "snow_crossover"
    """Snowfall over snow while object and ground have the same temperature."""
    FIXED_GAIN = "fixed_gain"
    """Thermal frames that were stored with 8 bits over a fixed span of 80 K: steps of 0.31 K."""
    RAW_COUNTS = "raw_counts"
    """Raw thermal counts, 25 a kelvin, instead of radiometric ones, 100 a kelvin."""
    DRIFT = "gain_drift"
    """Overdue non-uniformity correction: gain and offset drift over the thermal frame, columns differ."""
    BLUR = "blur"
    """Both lenses out of focus by about 1.4 pixels."""
    DEAD_ROWS = "dead_rows"
    """One thermal row in 25 is stuck, at either end of the range."""
    NO_EO = "no_eo"
    """The visible camera's frames are black."""
    NO_LWIR = "no_lwir"
    """The thermal camera's frames have one value."""


WEATHER = frozenset({Ood.FOG, Ood.DUST, Ood.SNOW_CROSSOVER})
"""The kinds that change the air; the others change the stored frames."""


def kind_of(scene: int) -> Ood:
    """Return the kind of the scene with this number."""
    kinds = tuple(Ood)
    return kinds[scene % len(kinds)]


def air_of(kind: Ood, air_k: float, rng: np.random.Generator) -> Atmosphere:
    """Return the air of a scene of this weather.

    Raises:
        KeyError: ``kind`` is none of `WEATHER`.
    """
    low, high, rain, humidity = {
        Ood.FOG: (120.0, 400.0, 0.0, 0.97),
        Ood.DUST: (250.0, 900.0, 0.0, 0.25),
        Ood.SNOW_CROSSOVER: (1_500.0, 4_000.0, 6.0, 0.9),
    }[kind]
    category = "precipitation" if rain else str(kind)
    return Atmosphere(category, float(rng.uniform(low, high)), rain, air_k, humidity)


def degrade(
    kind: Ood, eo: NDArray[np.uint8], lwir: NDArray[np.uint16], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Return the frames as this fault stores them; weather leaves them as they are.

    Args:
        kind: which fault.
        eo: uint8 [H, W, 3].
        lwir: counts uint16 [H, W].
        rng: decides which rows are dead and how gain drifts.
    """
    match kind:
        case Ood.FIXED_GAIN:
            step = round(_EIGHT_BIT_SPAN_K * COUNTS_PER_KELVIN / 256)
            return eo, lwir // np.uint16(step) * np.uint16(step)
        case Ood.RAW_COUNTS:
            kelvin = lwir.astype(np.float32) / np.float32(COUNTS_PER_KELVIN) - np.float32(_ZERO_CELSIUS_K)
            return eo, _counts(kelvin * np.float32(_RAW_COUNTS_PER_KELVIN) + np.float32(_RAW_OFFSET))
        case Ood.DRIFT:
            return eo, _drifted(lwir, rng)
        case Ood.BLUR:
            eo_blurred, lwir_blurred = eo.astype(np.float32), lwir.astype(np.float32)
            for _ in range(4):
                eo_blurred, lwir_blurred = blur(eo_blurred, 0.7), blur(lwir_blurred, 0.7)
            return np.rint(eo_blurred).astype(np.uint8), _counts(lwir_blurred)
        case Ood.DEAD_ROWS:
            rows = rng.choice(len(lwir), max(1, round(_DEAD_ROWS * len(lwir))), replace=False)
            dead = lwir.copy()
            dead[rows] = np.where(rng.random(len(rows)) < 0.5, lwir.min(), lwir.max())[:, None]
            return eo, dead
        case Ood.NO_EO:
            return np.zeros_like(eo), lwir
        case Ood.NO_LWIR:
            return eo, np.full_like(lwir, lwir.mean())
    return eo, lwir


def _drifted(lwir: NDArray[np.uint16], rng: np.random.Generator) -> NDArray[np.uint16]:
    """Shade the frame by up to 2 K from corner to corner, change the gain by up to 15 %, and set columns apart."""
    height, width = lwir.shape
    down = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    across = np.linspace(-1, 1, width, dtype=np.float32)[None]
    slopes = rng.uniform(-1.0, 1.0, 3).astype(np.float32)
    shade = slopes[0] * down + slopes[1] * across + slopes[2] * down * across
    columns = np.float32(0.3) * rng.standard_normal((1, width), np.float32)
    frame = lwir.astype(np.float32)
    middle = frame.mean(dtype=np.float64).astype(np.float32)
    gain = 1 + np.float32(rng.uniform(-0.15, 0.15)) * across
    return _counts(middle + (frame - middle) * gain + (shade + columns) * np.float32(COUNTS_PER_KELVIN))


def _counts(values: NDArray[np.float32]) -> NDArray[np.uint16]:
    counts: NDArray[np.uint16] = np.clip(np.rint(values), 0, 65535).astype(np.uint16)
    return counts
