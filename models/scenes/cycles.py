"""Bicycles and motorcycles, mostly with a rider; a motorcycle has fat tyres, a body, a hot engine and exhaust."""

from __future__ import annotations

import math

import numpy as np

from models.scenes.people import rider
from models.scenes.solid import Face, Part, Solid, Stroke

__all__ = ["bicycle", "motorcycle"]

_RING = [(math.cos(k * math.pi / 8), math.sin(k * math.pi / 8)) for k in range(16)]


def bicycle(rng: np.random.Generator, ridden: bool) -> Solid:
    """Return a bicycle."""
    solid = Solid()
    wheel, rear, front = 0.34, -0.52, 0.53
    frame = solid.group()
    for x in (rear, front):
        frame.append(_ring(x, wheel, wheel, 0.07, Part.RUBBER))
        frame += [Stroke(((x - 0.3, 0, wheel), (x + 0.3, 0, wheel)), Part.FRAME, 0.012)]
        frame += [Stroke(((x, 0, wheel - 0.3), (x, 0, wheel + 0.3)), Part.FRAME, 0.012)]
    crank, seat, head = (-0.08, 0.0, 0.30), (-0.24, 0.0, 0.86), (0.36, 0.0, 0.88)
    for a, b in (
        (crank, seat),
        (crank, (0.40, 0.0, 0.78)),
        ((-0.21, 0.0, 0.76), head),
        (head, (front, 0.0, wheel)),
        ((rear, 0.0, wheel), crank),
        ((rear, 0.0, wheel), (-0.21, 0.0, 0.76)),
    ):
        frame.append(Stroke((a, b), Part.FRAME, 0.06))
    bars = (0.42, 0.24, 1.02)
    frame += [Stroke((head, (0.40, 0.0, 1.02)), Part.FRAME, 0.05)]
    frame += [Stroke(((0.40, -0.26, 1.02), (0.40, 0.26, 1.02)), Part.FRAME, 0.04)]
    frame.append(Stroke(((-0.34, 0, 0.93), (-0.12, 0, 0.93)), Part.TRIM, 0.10))
    if ridden:
        rider(solid, (-0.24, 0.0, 0.95), bars, (-0.02, 0.12, 0.20), float(rng.uniform(0.3, 0.7)))
    return solid


def motorcycle(rng: np.random.Generator, ridden: bool) -> Solid:
    """Return a motorcycle."""
    solid = Solid()
    wheel, rear, front = 0.32, -0.70, 0.72
    body = solid.group()
    for x in (rear, front):
        body.append(_ring(x, wheel, wheel - 0.07, 0.16, Part.RUBBER))
        body.append(Stroke(((x, 0, wheel), (x, 0, wheel)), Part.RIM, 0.22))
    body.append(Stroke(((front, 0.0, wheel), (0.42, 0.0, 0.95)), Part.TRIM, 0.12))
    body.append(Stroke(((rear, 0.0, wheel), (-0.1, 0.0, 0.42)), Part.TRIM, 0.10))
    for side in (-0.12, 0.12):
        sign = float(np.sign(side))
        engine = ((-0.28, 0.22), (-0.3, 0.6), (0.30, 0.62), (0.34, 0.24))
        body.append(Face(tuple((x, side, z) for x, z in engine), Part.ENGINE, (0.0, sign, 0.0)))
        tank = ((-0.20, 0.62), (-0.10, 0.84), (0.30, 0.98), (0.50, 0.92), (0.42, 0.62))
        body.append(Face(tuple((x, side, z) for x, z in tank), Part.PAINT, (0.0, sign, 0.0)))
    body.append(Stroke(((-0.05, 0.0, 0.42), (0.2, 0.0, 0.42)), Part.ENGINE, 0.30))
    body.append(Stroke(((0.05, 0.0, 0.76), (0.36, 0.0, 0.86)), Part.PAINT, 0.26))
    body.append(Stroke(((-0.62, 0.0, 0.84), (-0.12, 0.0, 0.78)), Part.TRIM, 0.20))
    body.append(Stroke(((-0.62, 0.0, 0.78), (-0.72, 0.0, 0.74)), Part.TAIL_LAMP, 0.14))
    body.append(Stroke(((0.0, -0.17, 0.30), (-0.75, -0.19, 0.40)), Part.EXHAUST, 0.13))
    body.append(Stroke(((0.50, 0.0, 0.92), (0.54, 0.0, 0.92)), Part.LAMP, 0.20))
    body.append(Stroke(((0.36, -0.34, 1.06), (0.36, 0.34, 1.06)), Part.FRAME, 0.05))
    if rng.random() < 0.5:
        body.append(Stroke(((0.52, 0.0, 1.0), (0.40, 0.0, 1.25)), Part.GLASS, 0.26))
    if ridden:
        rider(solid, (-0.28, 0.0, 0.84), (0.36, 0.30, 1.06), (-0.05, 0.18, 0.26), float(rng.uniform(0.15, 0.45)))
    return solid


def _ring(x: float, z: float, radius: float, width: float, part: Part) -> Stroke:
    return Stroke(tuple((x + radius * c, 0.0, z + radius * s) for c, s in _RING), part, width, closed=True)
