"""Colours and temperatures of an object's parts, hot parts and camouflage included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.captures import ObjectClass
from models.scenes.place import Place
from models.scenes.solid import Part
from models.scenes.thermal import skin_temperature_k

__all__ = ["LEVELS", "Palette", "draw_palette"]

LEVELS = 8
"""Brightness levels of a face; a sprite's code is part + 32 * level."""

_SHARES = (np.arange(LEVELS) / (LEVELS - 1)).astype(np.float32)
_PAINTS = (
    (0.72, 0.72, 0.70), (0.42, 0.43, 0.45), (0.03, 0.03, 0.035), (0.14, 0.14, 0.15), (0.38, 0.03, 0.03),
    (0.03, 0.07, 0.28), (0.05, 0.15, 0.08), (0.45, 0.40, 0.28), (0.55, 0.35, 0.03),
)  # fmt: skip
_BUS_PAINTS = ((0.70, 0.12, 0.08), (0.75, 0.60, 0.08), (0.70, 0.72, 0.72), (0.08, 0.28, 0.42), (0.12, 0.38, 0.16))
_CLOTHES = (
    (0.06, 0.07, 0.10), (0.03, 0.03, 0.03), (0.30, 0.05, 0.05), (0.55, 0.55, 0.52), (0.08, 0.14, 0.32),
    (0.16, 0.16, 0.10), (0.35, 0.30, 0.20), (0.60, 0.50, 0.08),
)  # fmt: skip


@dataclass(frozen=True)
class Palette:
    """Appearance of one object.

    Attributes:
        table: float32 [256, 5] by code: red, green, blue and kelvin times opacity, opacity.
        contrast: fraction of the contrast to the ground that camouflage leaves.
    """

    table: NDArray[np.float32]
    contrast: float


def draw_palette(
    kind: ObjectClass,
    place: Place,
    ground_colour: NDArray[np.float32],
    running: bool,
    contrast: float,
    rng: np.random.Generator,
) -> Palette:
    """Draw colours and temperatures of one object of a class at a place; ``contrast`` 1 is no camouflage."""
    colours = _colours(kind, rng)
    kelvins = _kelvins(kind, place, running, rng)
    ground_k = place.ground_k
    table = np.zeros((256, 5), np.float32)
    for part in Part:
        colour = ground_colour + (np.array(colours[part], np.float32) - ground_colour) * np.float32(contrast)
        # Nets and coatings even out the surface; hot parts retain somewhat more of their contrast.
        kelvin = ground_k + (kelvins[part] - ground_k) * contrast
        rows = table[int(part) :: 32]
        rows[:, :3] = colour * (0.30 + _SHARES)[:, None]
        rows[:, 3] = kelvin + (_SHARES - 0.5) * (5.0 * place.direct * place.heating.evenness * contrast)
        rows[:, 4] = 1.0
        _light_lamp(table, part, place, running, contrast)
    return Palette(table, contrast)


def _colours(kind: ObjectClass, rng: np.random.Generator) -> dict[Part, tuple[float, float, float]]:
    paints = _BUS_PAINTS if kind is ObjectClass.BUS else _PAINTS
    paint, second = paints[rng.integers(len(paints))], _PAINTS[rng.choice([0, 0, 1, 3, 5, 6, 7])]
    if kind is ObjectClass.BUS:
        second = (0.6 * paint[0], 0.6 * paint[1], 0.6 * paint[2])
    skin = float(rng.uniform(0.12, 0.42))
    bonnet = paint if kind in (ObjectClass.CAR, ObjectClass.TRUCK) else (0.10, 0.10, 0.11)
    return {
        Part.PAINT: paint, Part.PAINT2: second, Part.GLASS: (0.05, 0.065, 0.08), Part.RUBBER: (0.015, 0.015, 0.015),
        Part.RIM: (0.35, 0.35, 0.36), Part.LAMP: (0.65, 0.65, 0.6), Part.TAIL_LAMP: (0.40, 0.02, 0.02),
        Part.ENGINE: bonnet, Part.EXHAUST: (0.12, 0.11, 0.10), Part.UNDERBODY: (0.02, 0.02, 0.02),
        Part.SKIN: (skin, 0.68 * skin, 0.52 * skin), Part.HAIR: (0.04, 0.03, 0.02),
        Part.TOP: _CLOTHES[rng.integers(len(_CLOTHES))], Part.LEGS: _CLOTHES[rng.integers(len(_CLOTHES) - 1)],
        Part.SHOES: (0.03, 0.03, 0.03), Part.PACK: _CLOTHES[rng.integers(len(_CLOTHES))],
        Part.FRAME: paints[rng.integers(len(paints))], Part.TRIM: (0.04, 0.04, 0.045), Part.LOUVRE: (0.06, 0.06, 0.06),
    }  # fmt: skip


def _kelvins(kind: ObjectClass, place: Place, running: bool, rng: np.random.Generator) -> dict[Part, float]:
    """Return the parts' temperatures: passive skin by the hour, hot parts above it, people by their skin."""
    # Rolling warms a car's tyre by some kelvin (its hysteresis loss); a bicycle's load and speed leave next to none.
    rolling_k = 1.0 if kind is ObjectClass.BICYCLE else 7.0
    metal, rubber, cloth = place.surface_k("metal"), place.surface_k("rubber"), place.surface_k("cloth")
    air, skin = place.heating.air_k, skin_temperature_k(place.heating.air_k)
    warm = 1.0 if running else float(rng.uniform(0.0, 0.12))
    hood, pipe = warm * rng.uniform(9, 20), warm * rng.uniform(30, 60)
    if kind is ObjectClass.MOTORCYCLE:
        hood, pipe = 2.2 * hood, 1.2 * pipe
    worn = 0.5 * (cloth - air)
    insulation = float(rng.uniform(0.30, 0.50))
    return {
        Part.PAINT: metal + rng.uniform(-0.4, 0.4), Part.PAINT2: metal + rng.uniform(-0.5, 0.5),
        Part.GLASS: metal - 2.5 * place.heating.sky + 1.5 * warm, Part.RUBBER: rubber + rolling_k * warm,
        Part.RIM: metal + 0.7 * rolling_k * warm, Part.LAMP: metal + 3 * warm, Part.TAIL_LAMP: metal + 1.5 * warm,
        Part.ENGINE: metal + hood, Part.EXHAUST: metal + pipe, Part.UNDERBODY: metal - 1.5 + 6 * warm,
        Part.LOUVRE: metal + 0.8 * hood, Part.FRAME: metal, Part.TRIM: metal - 0.3,
        Part.SKIN: skin, Part.HAIR: air + 0.55 * (skin - air) + worn,
        Part.TOP: air + insulation * (skin - air) + worn, Part.LEGS: air + 0.85 * insulation * (skin - air) + worn,
        Part.SHOES: air + 0.25 * (skin - air) + worn, Part.PACK: air + 0.12 * (skin - air) + worn,
    }  # fmt: skip


def _light_lamp(table: NDArray[np.float32], part: Part, place: Place, running: bool, contrast: float) -> None:
    if place.thermal == "day" or not running or contrast < 0.6 or part not in (Part.LAMP, Part.TAIL_LAMP):
        return
    glow = (6.0, 5.5, 4.5) if part is Part.LAMP else (2.2, 0.15, 0.1)
    table[int(part) :: 32, :3] += np.array(glow, np.float32)
