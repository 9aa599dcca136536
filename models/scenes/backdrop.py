"""The scene without objects at the lens: ground and clutter with light, heat and atmosphere, wider than one frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.scenes.clutter import SCALE, Clutter, Material, draw_clutter
from models.scenes.ground import Ground, draw_ground, noise_patch
from models.scenes.place import Place
from models.scenes.portable import exp

__all__ = ["Backdrop", "airlight", "build_backdrop"]

_ALBEDO: dict[Material, tuple[float, float, float]] = {
    Material.FOLIAGE: (0.10, 0.15, 0.05),
    Material.CONIFER: (0.05, 0.085, 0.045),
    Material.DRY: (0.26, 0.22, 0.12),
    Material.BARK: (0.14, 0.10, 0.07),
    Material.ROCK: (0.30, 0.27, 0.24),
    Material.WALL: (0.32, 0.20, 0.15),
    Material.WINDOW: (0.08, 0.10, 0.12),
    Material.METAL: (0.25, 0.26, 0.27),
    Material.MARKING: (0.75, 0.75, 0.72),
    Material.TRACK: (0.36, 0.30, 0.23),
    Material.KERB: (0.30, 0.30, 0.29),
    Material.SHADE: (0.0, 0.0, 0.0),
    Material.PLASTER: (0.55, 0.52, 0.45),
}
_SURFACE = {
    Material.FOLIAGE: "foliage", Material.CONIFER: "foliage", Material.DRY: "foliage", Material.BARK: "bark",
    Material.ROCK: "rock", Material.WALL: "wall", Material.WINDOW: "wall", Material.METAL: "metal",
    Material.MARKING: "asphalt", Material.TRACK: "soil", Material.KERB: "wall", Material.SHADE: "soil",
    Material.PLASTER: "wall",
}  # fmt: skip
# Paint and wheel tracks let the ground's texture through.
_TRANSLUCENT = {Material.TRACK: 0.7, Material.MARKING: 0.8, Material.KERB: 0.85}
_SMOOTH = {Material.WALL: 0.35, Material.PLASTER: 0.25, Material.WINDOW: 0.1, Material.METAL: 0.1,
           Material.MARKING: 0.2, Material.KERB: 0.3, Material.TRACK: 0.5}  # fmt: skip
_SNOW_TRACK = (0.55, 0.57, 0.62)
_SHADE_COOLING_K = 2.5


@dataclass(frozen=True)
class Backdrop:
    """The canvas that frames are cut from.

    Attributes:
        eo: float32 [H, W, 3] radiance at the lens.
        lwir: float32 [H, W] apparent temperature at the lens, kelvin.
        cover: float32 [H, W], fraction of the pixel covered by upright clutter.
        cover_range_m: float32 [H, W], that clutter's range; infinite where there is none.
        ground_colour: mean radiance of the ground, float32 [3], before the air.
    """

    eo: NDArray[np.float32]
    lwir: NDArray[np.float32]
    cover: NDArray[np.float32]
    cover_range_m: NDArray[np.float32]
    ground_colour: NDArray[np.float32]


def airlight(place: Place) -> NDArray[np.float32]:
    """Return the radiance of an infinitely thick layer of the scene's air, float32 [3]."""
    level = 0.10 if place.thermal == "night" else 0.75
    colour = (1.0, 0.85, 0.62) if place.atmosphere.category == "dust" else (0.95, 0.98, 1.0)
    return np.float32(level) * np.array(colour, np.float32)


def build_backdrop(place: Place, width: int, rng: np.random.Generator) -> Backdrop:
    """Render the place on a canvas ``width`` pixels wide."""
    ground = draw_ground(place, width, rng)
    clutter = draw_clutter(place, width, rng)
    ground_colour = ground.radiance[ground.radiance.shape[0] // 2 :].mean(axis=(0, 1))
    eo, lwir, cover = _overlay(place, ground, clutter, rng)
    things = clutter.codes[::SCALE, ::SCALE] >> 7
    other = clutter.codes[1::SCALE, 1::SCALE] >> 7
    things = np.where(things > 0, things, other)
    ranges = np.asarray(clutter.ranges_m, np.float32)[things]
    seen = np.where(np.isfinite(ranges), ranges, ground.range_m[:, None])
    through = place.atmosphere.eo_transmission(seen)[..., None]
    eo *= through
    eo += airlight(place) * (np.float32(1) - through)
    # The sky's temperature is already what reaches the lens.
    above = np.arange(len(seen))[:, None] < place.camera.horizon_row
    in_sky = np.isinf(ranges) & above
    through_ir = place.atmosphere.lwir_transmission(np.where(in_sky, np.float32(0), seen))
    lwir = lwir * through_ir + np.float32(place.heating.air_k) * (1 - through_ir)
    return Backdrop(eo, lwir, cover, ranges, ground_colour)


def _overlay(
    place: Place, ground: Ground, clutter: Clutter, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Composite the clutter's sub-pixels over the ground."""
    height, width = ground.temperature_k.shape
    codes = clutter.codes
    low = codes & 127
    table = _table(place)
    summed = np.zeros((height, width, 7), np.float32)
    for row in range(SCALE):
        for column in range(SCALE):
            summed += table.take(low[row::SCALE, column::SCALE], axis=0)
    summed *= np.float32(1 / SCALE**2)
    opaque, shade = summed[..., 4], summed[..., 5]
    leaves, warmth = noise_patch(height, width, rng), noise_patch(height, width, rng)
    rough = summed[..., 6]
    summed[..., :3] *= np.maximum(1 + np.float32(0.22) * rough * leaves, np.float32(0.3))[..., None]
    summed[..., 3] += rough * np.float32(0.45 * place.heating.evenness) * (leaves + warmth)
    light = 1 - shade * np.float32(0.75 * place.direct / 0.7)
    eo = ground.radiance * ((1 - opaque) * light)[..., None] + summed[..., :3]
    if place.thermal == "night" and place.background == "urban":
        eo *= _lamplight(height, width, rng)[..., None]
    cooled = ground.temperature_k - shade * np.float32(_SHADE_COOLING_K * place.direct)
    lwir = cooled * (1 - opaque) + summed[..., 3]
    standing = (codes >= 128).reshape(height, SCALE, width, SCALE).mean(axis=(1, 3), dtype=np.float32)
    return eo, lwir, standing


def _table(place: Place) -> NDArray[np.float32]:
    """Return, per code of material and level: RGB and kelvin, both times opacity; opacity, shade and roughness."""
    table = np.zeros((128, 7), np.float32)
    sunny = place.direct
    for material in Material:
        colour = np.array(_ALBEDO[material], np.float32)
        if material is Material.TRACK and place.background == "snow":
            colour = np.array(_SNOW_TRACK, np.float32)
        kelvin = place.surface_k(_SURFACE[material])
        for level in range(8):
            row = table[int(material) * 8 + level]
            if material is Material.SHADE:
                row[5] = 1.0
                continue
            brightness = 0.35 + 0.16 * level if sunny > 0.2 else 0.6 + 0.08 * level
            row[:3] = colour * np.float32(brightness)
            row[3] = kelvin + (level - 3) * (0.35 + 0.6 * sunny) * place.heating.evenness
            row[4] = 1.0
            row[6] = _SMOOTH.get(material, 1.0)
            if material is Material.WINDOW and place.thermal == "night" and level == 7:
                row[:3] = (1.6, 1.2, 0.6)
            if material in _TRANSLUCENT:
                row[4] = _TRANSLUCENT[material]
            if material is Material.TRACK and place.background != "snow":
                row[3] = place.ground_k + 0.6
            if material in (Material.MARKING, Material.TRACK) and place.background in ("urban", "snow"):
                row[3] = place.ground_k - 0.4
    table[:, :4] *= table[:, 4:5]
    return table


def _lamplight(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the light of street lamps outside the image: pools on a dim street, float32 [H, W]."""
    light = np.full((height, width), 0.6, np.float32)
    rows, columns = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None, :]
    for _ in range(int(rng.integers(2, 6))):
        x, y = rng.uniform(0, width), rng.uniform(0.1, 1.0) * height
        radius = np.float32((0.12 + 0.25 * y / height) * height)
        light += np.float32(rng.uniform(1.0, 3.5)) * exp(
            -(((columns - np.float32(x)) / (1.4 * radius)) ** 2 + ((rows - np.float32(y)) / (0.7 * radius)) ** 2)
        )
    return light
