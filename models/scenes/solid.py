"""Solids made of flat faces and round strokes, in metres, and their projection to the sensor.

Body frame: x forward, y left, z up, origin on the ground. View frame: right, away, up. Geometry only; the materials
of parts are in `models.scenes.palette`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from models.scenes.portable import times

__all__ = ["Face", "Part", "Pose", "Solid", "Stroke"]

Point = tuple[float, float, float]


class Part(IntEnum):
    """The part of an object that a face belongs to; 0 is none."""

    PAINT = 1
    PAINT2 = 2
    GLASS = 3
    RUBBER = 4
    RIM = 5
    LAMP = 6
    TAIL_LAMP = 7
    ENGINE = 8
    EXHAUST = 9
    UNDERBODY = 10
    SKIN = 11
    HAIR = 12
    TOP = 13
    LEGS = 14
    SHOES = 15
    PACK = 16
    FRAME = 17
    TRIM = 18
    LOUVRE = 19


@dataclass(frozen=True, slots=True)
class Face:
    """A flat polygon, drawn if its normal points towards the camera or if it has none."""

    points: tuple[Point, ...]
    part: Part
    normal: Point | None = None


@dataclass(frozen=True, slots=True)
class Stroke:
    """A round bar through ``points`` that tapers from ``width`` to ``end_width``; ``closed`` makes it a ring."""

    points: tuple[Point, ...]
    part: Part
    width: float
    closed: bool = False


@dataclass
class Solid:
    """Groups of faces and strokes. Groups are drawn far to near, the items of a group in the given order."""

    groups: list[list[Face | Stroke]] = field(default_factory=list)

    def group(self) -> list[Face | Stroke]:
        """Start a new group and return it."""
        self.groups.append([])
        return self.groups[-1]

    def box(
        self,
        group: list[Face | Stroke],
        x: tuple[float, float],
        y: tuple[float, float],
        z: tuple[float, float],
        part: Part,
    ) -> None:
        """Add the five upper faces of a box."""
        profile = [(x[0], z[0]), (x[0], z[1]), (x[1], z[1]), (x[1], z[0])]
        self.extrude(group, profile, y, part)

    def extrude(
        self,
        group: list[Face | Stroke],
        profile: Sequence[tuple[float, float]],
        y: tuple[float, float],
        part: Part,
        strips: Sequence[Part] | None = None,
    ) -> None:
        """Add a side profile (x, z), given from the rear's foot over the top to the front's foot, swept from y0 to y1.

        ``strips`` names the parts of the faces between successive profile points where they differ from ``part``.
        """
        low, high = y
        for index, ((xa, za), (xb, zb)) in enumerate(pairwise(profile)):
            length = math.hypot(xb - xa, zb - za)
            normal = (-(zb - za) / length, 0.0, (xb - xa) / length)
            points = ((xa, low, za), (xb, low, zb), (xb, high, zb), (xa, high, za))
            group.append(Face(points, strips[index] if strips else part, normal))
        for side, sign in ((low, -1.0), (high, 1.0)):
            group.append(Face(tuple((x, side, z) for x, z in profile), part, (0.0, sign, 0.0)))

    def both_sides(
        self, group: list[Face | Stroke], outline: Sequence[tuple[float, float]], y: tuple[float, float], part: Part
    ) -> None:
        """Add the outline (x, z) to both sides y0 and y1, slightly outside of them."""
        for side, sign in ((y[0], -1.0), (y[1], 1.0)):
            group.append(Face(tuple((x, side + sign * 0.01, z) for x, z in outline), part, (0.0, sign, 0.0)))

    def wheel(
        self, group: list[Face | Stroke], x: float, y: tuple[float, float], radius: float, rim: Part = Part.RIM
    ) -> None:
        """Add a wheel's disc with its rim to both sides."""
        for scale, part in ((1.0, Part.RUBBER), (0.55, rim)):
            self.both_sides(group, _circle(x, radius, radius * scale), y, part)


def _circle(x: float, z: float, radius: float) -> list[tuple[float, float]]:
    return [(x + radius * c, z + radius * s) for c, s in _UNIT_CIRCLE]


_UNIT_CIRCLE = [(math.cos(2 * math.pi * k / 12), math.sin(2 * math.pi * k / 12)) for k in range(12)]


@dataclass(frozen=True, slots=True)
class Pose:
    """A solid's orientation to the camera and the sun.

    Attributes:
        aspect_rad: heading relative to the line of sight; 0 is seen from the rear.
        depression_rad: depression angle of the camera.
        sun: direction to the sun in the view frame (right, away, up), unit length.
    """

    aspect_rad: float
    depression_rad: float
    sun: Point

    def to_view(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Transform points [n, 3] (or normals) from the body frame to the view frame."""
        c, s = math.cos(self.aspect_rad), math.sin(self.aspect_rad)
        return times(points, np.array([[s, c, 0.0], [-c, s, 0.0], [0.0, 0.0, 1.0]]))

    def to_screen(self, view: NDArray[np.float64]) -> NDArray[np.float64]:
        """Project view points [n, 3] orthographically: metres right, metres up, metres deep [n, 3]."""
        c, s = math.cos(self.depression_rad), math.sin(self.depression_rad)
        return times(view, np.array([[1.0, 0.0, 0.0], [0.0, s, c], [0.0, c, -s]]))

    def to_shadow(self, view: NDArray[np.float64]) -> NDArray[np.float64]:
        """Project view points [n, 3] along the sun's rays onto the ground."""
        right, away, up = self.sun
        length = np.minimum(view[:, 2:] / max(up, 0.12), 12.0)
        return np.concatenate([view[:, :2] - np.array([[right, away]]) * length, np.zeros_like(length)], axis=1)
