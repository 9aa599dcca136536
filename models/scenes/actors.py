"""Sampling the objects of a frame: class, range, heading, speed and camouflage, redrawn until they fit the view."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from models.captures import ObjectClass
from models.scenes.cycles import bicycle, motorcycle
from models.scenes.people import person
from models.scenes.place import Place
from models.scenes.solid import Solid
from models.scenes.vehicles import bus, car, truck

__all__ = ["Actor", "draw_actors"]

_SHARE = {
    ObjectClass.PERSON: 0.20, ObjectClass.BICYCLE: 0.13, ObjectClass.MOTORCYCLE: 0.13, ObjectClass.CAR: 0.18,
    ObjectClass.TRUCK: 0.22, ObjectClass.BUS: 0.26,
}  # fmt: skip
# Mean silhouette, metres: width over all headings and height.
_SIZE_M = {
    ObjectClass.PERSON: (0.62, 1.72), ObjectClass.BICYCLE: (1.35, 1.65), ObjectClass.MOTORCYCLE: (1.6, 1.6),
    ObjectClass.CAR: (3.7, 1.5), ObjectClass.TRUCK: (6.0, 3.1), ObjectClass.BUS: (8.2, 3.1),
}  # fmt: skip
# Mean and spread of the speed of a moving object, m/s.
_SPEED_MPS = {
    ObjectClass.PERSON: (1.5, 0.5), ObjectClass.BICYCLE: (4.5, 1.0), ObjectClass.MOTORCYCLE: (12.0, 3.0),
    ObjectClass.CAR: (12.0, 3.0), ObjectClass.TRUCK: (10.0, 2.5), ObjectClass.BUS: (9.0, 2.0),
}  # fmt: skip
_LARGEST_PX = 62.0
_LARGEST_SIDE_PX = 44.0
_SMALLEST_SIDE_PX = 10.0


@dataclass(frozen=True)
class Actor:
    """One object to be drawn.

    Attributes:
        kind: class.
        solid: its shape.
        across_px: column of its foot in the frame.
        range_m: distance.
        aspect_rad: heading, 0 is seen from the rear.
        speed_mps: over the ground.
        running: engine on, or body at work.
        contrast: camouflage, 1 is none.
    """

    kind: ObjectClass
    solid: Solid
    across_px: float
    range_m: float
    aspect_rad: float
    speed_mps: float
    running: bool
    contrast: float

    @property
    def velocity_mps(self) -> float:
        """Radial velocity, positive away."""
        return self.speed_mps * math.cos(self.aspect_rad)


def draw_actors(place: Place, rng: np.random.Generator) -> list[Actor]:
    """Sample one to five objects, farthest first, no two of them in the same place."""
    actors: list[Actor] = []
    taken: list[tuple[float, float, float, float]] = []
    wanted = 1 + int(rng.choice(5, p=[0.18, 0.28, 0.26, 0.18, 0.10]))
    for _ in range(wanted * 6):
        if len(actors) == wanted:
            break
        spot = _draw_spot(place, rng)
        if spot is None:
            continue
        kind, across, range_m, box = spot
        if any(_overlap(box, other) > 0.12 + 0.25 * place.hardness for other in taken):
            continue
        taken.append(box)
        actors.append(_draw_actor(place, kind, across, range_m, rng))
    return sorted(actors, key=lambda actor: -actor.range_m)


def _draw_spot(
    place: Place, rng: np.random.Generator
) -> tuple[ObjectClass, float, float, tuple[float, float, float, float]] | None:
    """Sample class, column and range; None if no range of this view suits the class."""
    camera = place.camera
    spans = {kind: span for kind in ObjectClass if (span := _fitting_ranges(place, kind)) is not None}
    if not spans:
        return None
    fraction = np.array([_SHARE[kind] for kind in spans])
    kind = list(spans)[int(rng.choice(len(spans), p=fraction / fraction.sum()))]
    wide, tall = _SIZE_M[kind]
    near, far = spans[kind]
    range_m = near * (far / near) ** float(rng.random())
    scale = camera.px_per_m(range_m)
    half = wide * scale / 2
    across, foot = float(rng.uniform(half * 0.5, camera.width - half * 0.5)), camera.row(range_m)
    return kind, across, range_m, (across - half, foot - tall * scale, across + half, foot)


def _fitting_ranges(place: Place, kind: ObjectClass) -> tuple[float, float] | None:
    """Return the ranges over which a class is neither too small, nor too large, nor cut by the upper edge."""
    camera, hard = place.camera, place.hardness
    wide, tall = _SIZE_M[kind]
    side, scale = math.sqrt(wide * tall), camera.px_per_m(1.0)
    near = max(camera.range_m(camera.height - 2), side * scale / (_LARGEST_SIDE_PX - 16.0 * hard),
               wide * 1.2 * scale / _LARGEST_PX, tall * scale / _LARGEST_PX)  # fmt: skip
    far = min(camera.range_m(camera.horizon_row + 1.5), side * scale / (_SMALLEST_SIDE_PX - 3.0 * hard))
    spare, above = (camera.height_m - 0.9 * tall) / camera.ifov_rad, 1.0 - camera.horizon_row
    if above > 0:
        far = min(far, spare / above)
    elif spare < 0:
        near = max(near, spare / above)
    return (near, far) if far > near * 1.05 else None


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """Return the intersection as a fraction of the smaller box."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return max(width, 0.0) * max(height, 0.0) / smaller


def _draw_actor(place: Place, kind: ObjectClass, across: float, range_m: float, rng: np.random.Generator) -> Actor:
    hard = place.hardness
    moving = rng.random() < (0.75 if place.thermal != "crossover" else 0.5) - 0.2 * hard
    running = bool(moving or rng.random() < 0.3)
    mean, spread = _SPEED_MPS[kind]
    speed = max(0.3, float(rng.normal(mean, spread))) if moving else 0.0
    aspect = float(rng.uniform(0, 2 * math.pi))
    if kind in (ObjectClass.BICYCLE, ObjectClass.MOTORCYCLE) and rng.random() < 0.5:
        # Half of the two-wheelers cross the view: seen from ahead a cyclist looks much like a pedestrian.
        aspect = math.pi * (0.5 + int(rng.integers(2))) + float(rng.uniform(-0.7, 0.7))
    if kind is ObjectClass.PERSON:
        solid = person(rng, speed, float(rng.uniform(0.3, 1.0)) if not moving and rng.random() < 0.3 else 0.0)
    elif kind is ObjectClass.BICYCLE:
        solid = bicycle(rng, ridden=moving or rng.random() < 0.7)
    elif kind is ObjectClass.MOTORCYCLE:
        solid = motorcycle(rng, ridden=moving or rng.random() < 0.7)
    else:
        solid = {ObjectClass.CAR: car, ObjectClass.TRUCK: truck, ObjectClass.BUS: bus}[kind](rng)
    contrast = 1.0
    if rng.random() < 0.12 + 0.45 * hard:
        contrast = float(rng.uniform(0.45 - 0.15 * hard, 0.85 - 0.15 * hard))
    return Actor(kind, solid, across, range_m, aspect, speed, running, contrast)
