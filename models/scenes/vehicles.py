"""Cars, trucks and buses: bodies of swept profiles with cabins, glass, wheels, lamps, hot bonnets and exhausts."""

from __future__ import annotations

import numpy as np

from models.scenes.solid import Face, Part, Solid, Stroke

__all__ = ["bus", "car", "truck"]


def car(rng: np.random.Generator) -> Solid:
    """Return a saloon, hatchback, estate or pick-up."""
    style = rng.choice(["saloon", "hatchback", "estate", "pickup"], p=[0.35, 0.3, 0.2, 0.15])
    length, width = rng.uniform(4.0, 4.7), rng.uniform(1.72, 1.88)
    tall = rng.uniform(1.42, 1.58) + (0.22 if style in ("estate", "pickup") else 0.0)
    f, r, belt = length / 2, -length / 2, 0.58 * tall
    tail = {"saloon": 0.24, "hatchback": 0.06, "estate": 0.03, "pickup": 0.42}[str(style)] * length
    rear_slope = 0.10 * length if style in ("saloon", "hatchback") else 0.03 * length
    solid = Solid()
    y = (-width / 2, width / 2)
    _axles(solid, y, (f - 0.19 * length, r + 0.19 * length), 0.33)
    body = solid.group()
    profile = [
        (r, 0.28),
        (r, belt),
        (r + tail, belt + 0.02),
        (r + tail + rear_slope, tall),
        (f - 0.48 * length, tall),
        (f - 0.29 * length, belt + 0.03),
        (f - 0.03, 0.47 * tall),
        (f, 0.26),
    ]
    parts = [Part.PAINT, Part.PAINT, Part.GLASS, Part.PAINT, Part.GLASS, Part.ENGINE, Part.PAINT]
    solid.extrude(body, profile, y, Part.PAINT, parts)
    windows = [
        (r + tail + rear_slope * 0.5 + 0.12, belt + 0.04),
        (r + tail + rear_slope + 0.08, tall - 0.1),
        (f - 0.49 * length, tall - 0.1),
        (f - 0.33 * length, belt + 0.04),
    ]
    solid.both_sides(body, windows, y, Part.GLASS)
    pillar = (windows[1][0] + windows[2][0]) / 2
    solid.both_sides(body, _rect(pillar - 0.05, pillar + 0.05, belt, tall - 0.08), y, Part.PAINT)
    solid.both_sides(body, _rect(r + 0.1, f - 0.1, 0.22, 0.34), y, Part.UNDERBODY)
    _wheels(solid, body, y, (f - 0.19 * length, r + 0.19 * length), 0.33)
    _ends(body, r, f, y, 0.42 * tall, 0.15)
    _exhaust(body, r, y[0] * 0.55, 0.26)
    return solid


def truck(rng: np.random.Generator) -> Solid:
    """Return a box, tarpaulin, tank or tipper truck with a cab."""
    style = rng.choice(["box", "tank", "tipper"], p=[0.6, 0.2, 0.2])
    length, width, tall = rng.uniform(6.6, 8.6), rng.uniform(2.3, 2.5), rng.uniform(3.0, 3.6)
    f, r, cab = length / 2, -length / 2, rng.uniform(1.75, 2.2)
    cab_tall = rng.uniform(2.45, 2.85)
    y = (-width / 2, width / 2)
    axles = (f - 0.9, r + 1.9, r + 0.85)
    solid = Solid()
    _axles(solid, y, axles, 0.5)
    chassis = solid.group()
    solid.box(chassis, (r + 0.1, f - cab), (y[0] * 0.8, y[1] * 0.8), (0.45, 1.0), Part.UNDERBODY)
    load = solid.group()
    deck = 1.0
    if style == "tank":
        ring = [
            (r + 0.1, deck + 0.35),
            (r + 0.3, deck + 1.35),
            (f - cab - 0.5, deck + 1.35),
            (f - cab - 0.2, deck + 0.35),
        ]
        solid.extrude(load, [(r + 0.1, deck), *ring, (f - cab - 0.2, deck)], (y[0] * 0.9, y[1] * 0.9), Part.PAINT2)
        solid.both_sides(
            load, _rect(r + 0.3, f - cab - 0.5, deck + 0.55, deck + 0.7), (y[0] * 0.9, y[1] * 0.9), Part.TRIM
        )
    else:
        high = tall if style == "box" else 0.68 * tall
        solid.box(load, (r, f - cab - 0.15), y, (deck, high), Part.PAINT2)
        for at in np.linspace(r + 0.8, f - cab - 0.9, 4 if style == "tipper" else 2):
            solid.both_sides(load, _rect(at - 0.05, at + 0.05, deck, high), y, Part.TRIM)
        _end_plate(load, r, y, 0.9, (deck + 0.15, high - 0.15), Part.TRIM if style == "tipper" else Part.PAINT2)
    front = solid.group()
    profile = [(f - cab, 0.5), (f - cab, cab_tall), (f - 0.35, cab_tall), (f - 0.08, 1.55), (f, 1.45), (f, 0.45)]
    parts = [Part.PAINT, Part.PAINT, Part.GLASS, Part.PAINT, Part.ENGINE]
    solid.extrude(front, profile, y, Part.PAINT, parts)
    solid.both_sides(
        front,
        [(f - cab + 0.5, 1.55), (f - cab + 0.5, cab_tall - 0.3), (f - 0.42, cab_tall - 0.3), (f - 0.2, 1.55)],
        y,
        Part.GLASS,
    )
    solid.both_sides(front, _rect(f - cab + 0.25, f - 0.35, 0.6, 0.95), y, Part.ENGINE)
    _wheels(solid, front, y, axles, 0.5)
    _ends(front, r, f, y, 0.8, 0.25)
    stack = (f - cab - 0.08, y[1] * 0.85)
    front.append(Stroke(((*stack, 1.0), (*stack, cab_tall + 0.15)), Part.EXHAUST, 0.16))
    return solid


def bus(rng: np.random.Generator) -> Solid:
    """Return a city bus or coach: one long box, a row of windows, the engine at the rear."""
    length, tall = rng.uniform(9.5, 12.0), rng.uniform(2.9, 3.3)
    f, r, y = length / 2, -length / 2, (-1.25, 1.25)
    axles = (f - 2.4, r + 2.9)
    solid = Solid()
    _axles(solid, y, axles, 0.5)
    body = solid.group()
    profile = [(r, 0.35), (r, 1.75), (r + 0.08, tall), (f - 0.15, tall), (f, 1.15), (f, 0.3)]
    solid.extrude(body, profile, y, Part.PAINT, [Part.LOUVRE, Part.GLASS, Part.PAINT, Part.GLASS, Part.PAINT])
    sill, head = 0.46 * tall, 0.82 * tall
    count = int(rng.integers(6, 9))
    pitch = (length - 0.9) / count
    for k in range(count):
        start = r + 0.45 + k * pitch
        solid.both_sides(body, _rect(start + 0.09, start + pitch - 0.09, sill, head), y, Part.GLASS)
    solid.both_sides(body, _rect(r + 0.15, f - 0.15, 0.55, 0.85), y, Part.PAINT2)
    solid.both_sides(body, _rect(f - 1.5, f - 0.5, 0.4, head), y, Part.GLASS)
    solid.both_sides(body, _rect(r + 0.15, r + 1.6, 0.55, 1.35), y, Part.LOUVRE)
    _wheels(solid, body, y, axles, 0.5)
    _ends(body, r, f, y, 0.8, 0.25)
    _exhaust(body, r, y[1] * 0.6, 0.45)
    return solid


def _rect(x0: float, x1: float, z0: float, z1: float) -> list[tuple[float, float]]:
    return [(x0, z0), (x0, z1), (x1, z1), (x1, z0)]


def _axles(solid: Solid, y: tuple[float, float], axles: tuple[float, ...], radius: float) -> None:
    """Add the wheels' treads, which show under the body from ahead and behind."""
    group = solid.group()
    for x in axles:
        for side in (y[0] + 0.13, y[1] - 0.13):
            group.append(Stroke(((x, side, radius), (x, side, radius * 0.6)), Part.RUBBER, 0.26))
            face = (
                (x - radius, side - 0.12, 0.0),
                (x - radius, side + 0.12, 0.0),
                (x - radius, side + 0.12, radius * 1.6),
                (x - radius, side - 0.12, radius * 1.6),
            )
            group.append(Face(face, Part.RUBBER, (-1.0, 0.0, 0.0)))
            front = tuple((2 * x - px, py, pz) for px, py, pz in face)
            group.append(Face(front, Part.RUBBER, (1.0, 0.0, 0.0)))


def _wheels(
    solid: Solid, group: list[Face | Stroke], y: tuple[float, float], axles: tuple[float, ...], radius: float
) -> None:
    for x in axles:
        solid.wheel(group, x, y, radius)


def _end_plate(
    group: list[Face | Stroke],
    x: float,
    y: tuple[float, float],
    fraction: float,
    z: tuple[float, float],
    part: Part,
    sign: float = -1.0,
) -> None:
    low, high, at = y[0] * fraction, y[1] * fraction, x + sign * 0.012
    points = ((at, low, z[0]), (at, high, z[0]), (at, high, z[1]), (at, low, z[1]))
    group.append(Face(points, part, (sign, 0.0, 0.0)))


def _ends(group: list[Face | Stroke], r: float, f: float, y: tuple[float, float], z: float, size: float) -> None:
    """Add lamps and bumpers at both ends."""
    for x, sign, part in ((r, -1.0, Part.TAIL_LAMP), (f, 1.0, Part.LAMP)):
        at = x + sign * 0.015
        for side in y:
            inner = side - np.sign(side) * 0.36
            points = ((at, side * 0.94, z), (at, inner, z), (at, inner, z + size), (at, side * 0.94, z + size))
            group.append(Face(points, part, (sign, 0.0, 0.0)))
        _end_plate(group, x, y, 0.95, (z * 0.55, z * 0.8), Part.TRIM, sign)


def _exhaust(group: list[Face | Stroke], r: float, y: float, z: float) -> None:
    at = r - 0.03
    points = tuple((at, y + dy, z + dz) for dy, dz in ((-0.14, -0.08), (0.14, -0.08), (0.14, 0.10), (-0.14, 0.10)))
    group.append(Face(points, Part.EXHAUST, (-1.0, 0.0, 0.0)))
