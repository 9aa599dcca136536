"""Painting clutter in ground coordinates: an image of material codes, and the materials.

All clutter goes into one image of codes at twice the frame's resolution. Each upright object has its range, so that it
hides what is behind it: clutter nearer than a target is what occludes the target.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from PIL import Image, ImageDraw

from models.scenes.place import Place

__all__ = ["SCALE", "Material", "Painter", "code_of"]

SCALE = 2
"""Sub-pixels of the code image, each way."""


class Material(IntEnum):
    """Materials of clutter; 0 is none."""

    FOLIAGE = 1
    CONIFER = 2
    DRY = 3
    BARK = 4
    ROCK = 5
    WALL = 6
    WINDOW = 7
    METAL = 8
    MARKING = 9
    TRACK = 10
    KERB = 11
    SHADE = 12
    PLASTER = 13


@dataclass
class Painter:
    """Paints clutter in ground coordinates."""

    place: Place
    width: int
    rng: np.random.Generator

    def __post_init__(self) -> None:
        self.image = Image.new("I", (self.width * SCALE, self.place.camera.height * SCALE))
        self.draw = ImageDraw.Draw(self.image)
        self.ranges = [float("inf")]

    def add_object(self, range_m: float) -> int:
        """Register an upright object; return the offset to add to the codes of its parts."""
        self.ranges.append(range_m)
        return (len(self.ranges) - 1) * 128

    def at(self, across_m: float, range_m: float) -> tuple[float, float, float]:
        """Return x and y of a point on the ground, and the size of a metre there, all in sub-pixels."""
        camera = self.place.camera
        scale = camera.px_per_m(range_m) * SCALE
        return self.width * SCALE / 2 + across_m * scale, camera.row(range_m) * SCALE, scale

    def random_spot(self, near_m: float, far_m: float) -> tuple[float, float]:
        """Return a random point (across, range) in metres, uniform over the image between two ranges."""
        camera = self.place.camera
        low, high = camera.row(far_m), camera.row(near_m)
        range_m = camera.range_m(float(self.rng.uniform(low, high)))
        half = self.width / 2 * range_m * camera.ifov_rad
        return float(self.rng.uniform(-half, half)), range_m

    def blob(self, x: float, y: float, radius_x: float, radius_y: float, code: int) -> None:
        """Fill an ellipse, in sub-pixels."""
        self.draw.ellipse((x - radius_x, y - radius_y, x + radius_x, y + radius_y), fill=code)


def code_of(material: Material, level: int) -> int:
    """Return the code of a material at a brightness level (0 to 7, clipped)."""
    return int(material) * 8 + int(min(max(level, 0), 7))
