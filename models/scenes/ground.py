"""Ground texture in both bands: octaves of noise on the ground plane, in perspective."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.scenes.place import Place

__all__ = ["Ground", "draw_ground", "noise_at", "noise_patch"]

_TILE = 256


@dataclass(frozen=True)
class Ground:
    """Bare ground and sky over the canvas, before the atmosphere.

    Attributes:
        radiance: float32 [H, W, 3], albedo times light.
        temperature_k: float32 [H, W].
        range_m: float32 [H], by row.
    """

    radiance: NDArray[np.float32]
    temperature_k: NDArray[np.float32]
    range_m: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Look:
    """Two ground covers in patches, and the octaves (wavelength m, EO fraction, LWIR kelvin) of their texture."""

    first: tuple[float, float, float]
    second: tuple[float, float, float]
    second_surface: str
    cover: float
    patch_m: float
    octaves: tuple[tuple[float, float, float], ...]


_LOOKS = {
    "desert_scrub": _Look((0.42, 0.33, 0.23), (0.33, 0.25, 0.17), "soil", 0.4, 9.0,
                          ((0.35, 0.10, 0.4), (1.2, 0.10, 0.5), (5.0, 0.08, 0.5), (20.0, 0.08, 0.5))),
    "grassland": _Look((0.075, 0.12, 0.035), (0.19, 0.17, 0.075), "soil", 0.45, 7.0,
                       ((0.3, 0.22, 0.4), (1.0, 0.18, 0.5), (4.0, 0.12, 0.5), (18.0, 0.10, 0.5))),
    "urban": _Look((0.085, 0.085, 0.09), (0.11, 0.11, 0.11), "asphalt", 0.5, 6.0,
                   ((0.4, 0.08, 0.15), (2.0, 0.06, 0.25), (9.0, 0.08, 0.4))),
    "forest_edge": _Look((0.09, 0.11, 0.04), (0.14, 0.10, 0.06), "soil", 0.5, 5.0,
                         ((0.35, 0.25, 0.4), (1.1, 0.20, 0.6), (4.0, 0.15, 0.5), (15.0, 0.10, 0.4))),
    "snow": _Look((0.80, 0.82, 0.85), (0.70, 0.72, 0.76), "snow", 0.4, 8.0,
                  ((0.6, 0.025, 0.2), (2.5, 0.035, 0.3), (9.0, 0.04, 0.4), (25.0, 0.04, 0.4))),
}  # fmt: skip


def draw_ground(place: Place, width: int, rng: np.random.Generator) -> Ground:
    """Draw ground and sky, ``width`` pixels wide and as high as the camera's frame."""
    camera, look = place.camera, _LOOKS[place.background]
    rows = np.arange(camera.height, dtype=np.float32) + np.float32(0.5)
    below = np.maximum(rows - np.float32(camera.horizon_row), np.float32(0.02))
    range_m = np.minimum(np.float32(camera.height_m / camera.ifov_rad) / below, 5000.0).astype(np.float32)
    across = (np.arange(width, dtype=np.float32) - width / 2)[None, :] * (range_m * np.float32(camera.ifov_rad))[
        :, None
    ]
    away = np.broadcast_to(range_m[:, None], across.shape)
    shape = (camera.height, width)
    texture, warmth = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for wave_m, fraction, kelvin in look.octaves:
        weight = _visible_share(wave_m, range_m, camera.height_m, camera.ifov_rad)
        if weight.max() <= 0:
            continue
        noise = noise_at(across, away, wave_m, rng) * weight[:, None]
        texture += np.float32(fraction) * noise
        # The bands share structure without being copies: half of the thermal octave is its own.
        own = noise_at(across, away, wave_m * 1.3, rng) * weight[:, None]
        warmth += np.float32(kelvin * place.heating.evenness) * (np.float32(0.6) * noise + np.float32(0.6) * own)
    patches = noise_at(across, away, look.patch_m, rng) + np.float32(0.4) * texture / np.float32(look.octaves[0][1])
    mix = np.clip((patches - np.float32(0.9 - 1.8 * look.cover)) * np.float32(1.4) + np.float32(0.5), 0, 1)
    first, second = np.array(look.first, np.float32), np.array(look.second, np.float32)
    tint = np.float32(1.0 + 0.12 * rng.standard_normal())
    radiance = (first + (second - first) * mix[..., None]) * (np.float32(1) + texture)[..., None] * tint
    other_k = place.surface_k(look.second_surface)
    limited = np.clip(other_k - place.ground_k, -1.5, 1.5)
    temperature = np.float32(place.ground_k) + np.float32(limited) * mix + warmth
    if place.background == "snow":
        np.minimum(temperature, np.float32(273.15), out=temperature)
    _add_sky(place, rows, radiance, temperature)
    return Ground(np.maximum(radiance, np.float32(0.005)), temperature, range_m)


def noise_at(
    across_m: NDArray[np.float32], away_m: NDArray[np.float32], wave_m: float, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return smooth noise of unit variance and roughly the given wavelength at points of the ground plane."""
    tile = _noise_tile()
    scale = np.float32(4.0 / wave_m)
    turn, shift = rng.uniform(0, 2 * np.pi), rng.uniform(0, _TILE, 2)
    c, s = np.float32(math.cos(turn)), np.float32(math.sin(turn))
    x = (across_m * c + away_m * s) * scale + np.float32(shift[0])
    y = (away_m * c - across_m * s) * scale + np.float32(shift[1])
    column, row = np.floor(x), np.floor(y)
    fx, fy = x - column, y - row
    i, j = row.astype(np.int32) & (_TILE - 1), column.astype(np.int32) & (_TILE - 1)
    at, right, below = i * _TILE + j, (j + 1) & (_TILE - 1), ((i + 1) & (_TILE - 1)) * _TILE
    upper = tile.take(at) * (1 - fx) + tile.take(i * _TILE + right) * fx
    lower = tile.take(below + j) * (1 - fx) + tile.take(below + right) * fx
    mixed: NDArray[np.float32] = upper * (1 - fy) + lower * fy
    return mixed


def noise_patch(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return smooth noise of unit variance and a grain of about 2 pixels, float32 [height, width], at most 256 each."""
    row, column = (int(v) for v in rng.integers(0, _TILE, 2))
    tile = _noise_tile().reshape(_TILE, _TILE)
    rows, columns = np.arange(row, row + height) & (_TILE - 1), np.arange(column, column + width) & (_TILE - 1)
    patch: NDArray[np.float32] = tile[rows[:, None], columns[None, :]]
    return patch


@cache
def _noise_tile() -> NDArray[np.float32]:
    """A periodic tile of smooth noise, flattened; all scenes sample it at random rotations and offsets."""
    white = np.random.default_rng(20240501).standard_normal((_TILE, _TILE))
    smooth = ndimage.gaussian_filter(white, 1.0, mode="wrap")
    return np.ascontiguousarray(smooth / smooth.std(), np.float32).ravel()


def _visible_share(
    wave_m: float, range_m: NDArray[np.float32], height_m: float, ifov_rad: float
) -> NDArray[np.float32]:
    """Fade an octave out where its wavelength is below the footprint of two pixels, where it would alias."""
    lateral = range_m * np.float32(ifov_rad)
    footprint = lateral * np.sqrt(np.maximum(range_m / np.float32(height_m), 1))
    fraction: NDArray[np.float32] = np.clip(np.float32(wave_m) / (2 * footprint) - np.float32(0.3), 0, 1)
    return fraction


def _add_sky(
    place: Place, rows: NDArray[np.float32], radiance: NDArray[np.float32], temperature: NDArray[np.float32]
) -> None:
    """Paint rows above the horizon: bright and, under a clear sky, cold (warmer towards the horizon)."""
    above = rows < place.camera.horizon_row
    if not above.any():
        return
    climb = (np.float32(place.camera.horizon_row) - rows[above])[:, None] * np.float32(place.camera.ifov_rad)
    clear = place.heating.sky
    colour = np.array([0.75, 0.80, 0.88], np.float32) if clear < 0.5 else np.array([0.52, 0.66, 0.88], np.float32)
    low = np.array([0.8, 0.82, 0.86], np.float32)
    level = np.float32(0.25 if place.thermal == "night" else 0.9)
    radiance[above] = level * (low + (colour - low) * np.minimum(climb * 12, 1))[:, None, :]
    temperature[above] = np.float32(place.heating.air_k) - np.float32(clear) * (2 + 40 * climb)
