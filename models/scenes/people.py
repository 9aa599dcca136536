"""People: articulated figures that stand, walk, run or crouch, and the rider of bicycles and motorcycles."""

from __future__ import annotations

import math

import numpy as np

from models.scenes.solid import Part, Point, Solid, Stroke

__all__ = ["person", "rider"]


def person(rng: np.random.Generator, speed_mps: float, crouch: float = 0.0) -> Solid:
    """Return a person; the stride grows with speed, ``crouch`` (0 to 1) bends knees and back."""
    height = rng.uniform(1.58, 1.92)
    s = height / 1.75
    swing = min(0.75, 0.12 + 0.3 * speed_mps) * math.sin(rng.uniform(-math.pi, math.pi)) if speed_mps > 0.2 else 0.06
    lean = 0.04 * speed_mps + 0.7 * crouch
    hip = (0.0, 0.0, s * (0.93 - 0.40 * crouch))
    neck = (s * 0.55 * math.sin(lean), 0.0, hip[2] + s * 0.55 * math.cos(lean))
    solid = Solid()
    for side, phase in ((1, swing), (-1, -swing)):
        _leg(solid, hip, side * 0.10 * s, phase, s, crouch)
        _arm(solid, neck, side * 0.22 * s, -phase, s, 0.25 + 0.2 * speed_mps * 0.3)
    _torso(solid, hip, neck, s)
    if rng.random() < 0.35:
        back = (neck[0] - 0.2 * s, 0.0, neck[2] - 0.10 * s)
        solid.group().append(Stroke((back, (back[0] - 0.05, 0.0, back[2] - 0.28 * s)), Part.PACK, 0.30 * s))
    return solid


def rider(solid: Solid, saddle: Point, bars: Point, pedal: Point, lean: float) -> None:
    """Add a rider who sits on ``saddle``, holds ``bars`` (the left grip) and stands on ``pedal`` (the left one)."""
    neck = (saddle[0] + 0.55 * math.sin(lean), 0.0, saddle[2] + 0.55 * math.cos(lean))
    for side in (1, -1):
        hip = (saddle[0], side * 0.10, saddle[2] + 0.05)
        foot = (pedal[0], side * pedal[1], pedal[2] + (0.16 if side > 0 else 0.0))
        knee = ((hip[0] + foot[0]) / 2 + 0.22, side * 0.14, (hip[2] + foot[2]) / 2 + 0.10)
        leg = solid.group()
        leg += [Stroke((hip, knee), Part.LEGS, 0.17), Stroke((knee, foot), Part.LEGS, 0.12)]
        leg.append(Stroke((foot, (foot[0] + 0.16, foot[1], foot[2] - 0.03)), Part.SHOES, 0.10))
        shoulder = (neck[0], side * 0.20, neck[2] - 0.03)
        hand = (bars[0], side * bars[1], bars[2])
        elbow = tuple((a + b) / 2 - d for a, b, d in zip(shoulder, hand, (0.0, 0.0, 0.10), strict=True))
        arm = solid.group()
        arm += [Stroke((shoulder, (elbow[0], elbow[1], elbow[2])), Part.TOP, 0.11)]
        arm += [Stroke(((elbow[0], elbow[1], elbow[2]), hand), Part.TOP, 0.09), Stroke((hand, hand), Part.SKIN, 0.10)]
    _torso(solid, (saddle[0], 0.0, saddle[2] + 0.05), neck, 1.0, helmet=True)


def _torso(solid: Solid, hip: Point, neck: Point, s: float, helmet: bool = False) -> None:
    trunk = solid.group()
    for y in (-0.09 * s, 0.09 * s):
        trunk.append(Stroke(((hip[0], y, hip[2]), (neck[0], y * 1.45, neck[2] - 0.06 * s)), Part.TOP, 0.24 * s))
    trunk.append(Stroke(((hip[0], -0.08 * s, hip[2]), (hip[0], 0.08 * s, hip[2])), Part.LEGS, 0.22 * s))
    top = (neck[0] + 0.03, 0.0, neck[2] + 0.16 * s)
    head = solid.group()
    head.append(Stroke((neck, top), Part.SKIN, 0.11 * s))
    head.append(Stroke(((top[0], 0.0, top[2] - 0.02), (top[0], 0.0, top[2] + 0.03)), Part.SKIN, 0.19 * s))
    crown = (top[0] - 0.03, 0.0, top[2] + 0.06 * s)
    head.append(Stroke((crown, crown), Part.PACK if helmet else Part.HAIR, (0.24 if helmet else 0.18) * s))


def _leg(solid: Solid, hip: Point, y: float, phase: float, s: float, crouch: float) -> None:
    length = hip[2] / 2 / max(0.6, math.cos(0.5 * phase))
    bend = 0.9 * crouch + max(0.0, -phase) * 0.7
    knee = (hip[0] + length * math.sin(phase + bend * 0.6), y, hip[2] - length * math.cos(phase + bend * 0.6) * 0.97)
    foot_z = max(0.05, knee[2] - length * math.cos(phase - bend) * 0.97)
    foot = (knee[0] + length * math.sin(phase - bend), y, foot_z)
    leg = solid.group()
    leg += [Stroke(((hip[0], y, hip[2]), knee), Part.LEGS, 0.17 * s), Stroke((knee, foot), Part.LEGS, 0.125 * s)]
    leg.append(Stroke((foot, (foot[0] + 0.17 * s, y, foot[2] - 0.01)), Part.SHOES, 0.10 * s))


def _arm(solid: Solid, neck: Point, y: float, phase: float, s: float, bend: float) -> None:
    shoulder = (neck[0], y, neck[2] - 0.05 * s)
    upper, fore = 0.29 * s, 0.27 * s
    elbow = (shoulder[0] + upper * math.sin(phase), y * 1.15, shoulder[2] - upper * math.cos(phase))
    hand = (elbow[0] + fore * math.sin(phase + bend), y * 1.1, elbow[2] - fore * math.cos(phase + bend))
    arm = solid.group()
    arm += [Stroke((shoulder, elbow), Part.TOP, 0.115 * s), Stroke((elbow, hand), Part.TOP, 0.09 * s)]
    arm.append(Stroke((hand, hand), Part.SKIN, 0.10 * s))
