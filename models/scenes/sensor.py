"""The two cameras: from radiance at the lens to stored counts, by optics and noise, independent of the content."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["COUNTS_PER_KELVIN", "NETD_K", "EoSensor", "LwirSensor", "blur"]

COUNTS_PER_KELVIN = 100.0
"""Linear radiometric output, 10 mK a count, as FLIR's TLinear modes give; counts are kelvin times this."""
NETD_K = 0.05

_READ_NOISE_E = 2.5
_LOW_LIGHT_E = 200.0
_GAMMA_STEPS = 4096
_GAMMA_TABLE = np.rint(255.0 * (np.arange(_GAMMA_STEPS) / (_GAMMA_STEPS - 1)) ** (1 / 2.2)).astype(np.uint8)
# Optics and pixel aperture together: MTF of about 0.3 (EO) and 0.15 (LWIR) at Nyquist.
_EO_BLUR_PX = 0.45
_LWIR_BLUR_PX = 0.6


def blur(frame: NDArray[np.float32], sigma_px: float) -> NDArray[np.float32]:
    """Blur the first two axes by a three-tap kernel of variance ``sigma_px``^2; edges repeat."""
    side = np.float32(sigma_px * sigma_px / 2)
    centre = np.float32(1) - 2 * side
    rows = frame * centre
    rows[1:] += side * frame[:-1]
    rows[:-1] += side * frame[1:]
    rows[0] += side * frame[0]
    rows[-1] += side * frame[-1]
    both = rows * centre
    both[:, 1:] += side * rows[:, :-1]
    both[:, :-1] += side * rows[:, 1:]
    both[:, 0] += side * rows[:, 0]
    both[:, -1] += side * rows[:, -1]
    return both


@dataclass(frozen=True, slots=True)
class EoSensor:
    """Visible camera with automatic exposure.

    Attributes:
        electrons: mean signal of a pixel at radiance 1, set by exposure and light: thousands by day, tens at night.
        white: radiance that fills the 8-bit range.
    """

    electrons: float
    white: float

    def expose(self, radiance: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
        """Return uint8 [H, W, 3] of a radiance float32 [H, W, 3].

        Shot noise is normal of variance N, which a Poisson law of N > 10 approaches; below that the read noise
        of 2.5 electrons rules.
        """
        signal = blur(radiance, _EO_BLUR_PX) * np.float32(self.electrons)
        deviation = np.sqrt(np.maximum(signal, 0) + np.float32(_READ_NOISE_E**2))
        signal += deviation * rng.standard_normal(signal.shape, np.float32)
        if self.electrons < _LOW_LIGHT_E:
            # Low-light modes give up colour, which is mostly noise then.
            signal = signal * np.float32(0.3) + signal.mean(axis=2, keepdims=True) * np.float32(0.7)
        scale = np.float32((_GAMMA_STEPS - 1) / (self.electrons * self.white))
        frame: NDArray[np.uint8] = _GAMMA_TABLE[np.clip(signal * scale, 0, _GAMMA_STEPS - 1).astype(np.int32)]
        return frame


@dataclass(frozen=True)
class LwirSensor:
    """Uncooled thermal camera.

    Attributes:
        pattern_k: fixed-pattern residual after correction, float32 [H, W], kelvin: part of the camera, not of time.
    """

    pattern_k: NDArray[np.float32]

    @classmethod
    def build(cls, height: int, width: int, rng: np.random.Generator) -> LwirSensor:
        """Return a camera with its own residual pattern: columns, rows and pixels, under 0.25 K all together."""
        pattern = (
            0.03 * rng.standard_normal((height, width), np.float32)
            + 0.03 * rng.standard_normal((1, width), np.float32)
            + 0.015 * rng.standard_normal((height, 1), np.float32)
        )
        return cls(np.clip(pattern, -0.25, 0.25).astype(np.float32))

    def expose(self, temperature_k: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint16]:
        """Return counts uint16 [H, W] of apparent temperatures float32 [H, W]."""
        signal = blur(temperature_k, _LWIR_BLUR_PX) + self.pattern_k
        signal += np.float32(NETD_K) * rng.standard_normal(signal.shape, np.float32)
        counts: NDArray[np.uint16] = np.clip(np.rint(signal * np.float32(COUNTS_PER_KELVIN)), 0, 65535).astype(
            np.uint16
        )
        return counts
