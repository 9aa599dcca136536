"""Props on the ground: shrubs, rocks, trees, tufts of grass, poles, buildings, and flat paint."""

from __future__ import annotations

import math

import numpy as np

from models.scenes.painter import Material, Painter, code_of

__all__ = ["building", "flat", "pole", "rock", "shrub", "tree", "tuft"]


def _shadow(painter: Painter, x: float, y: float, width: float, tall: float) -> None:
    """Draw the soft-edged ground shadow of an object ``tall`` sub-pixels high, pointing away from the sun."""
    if painter.place.direct < 0.2:
        return
    right, away, up = painter.place.sun
    reach = tall / max(up, 0.3) * 0.6
    tilt = 0.15
    dx, dy = -right * reach, away * reach * tilt
    for fraction in (0.35, 0.7, 1.0):
        painter.blob(
            x + dx * fraction,
            y + dy * fraction,
            width * (1.1 - 0.4 * fraction),
            max(width * 0.25, 1.0),
            code_of(Material.SHADE, 0),
        )


def shrub(
    painter: Painter, across: float, range_m: float, material: Material = Material.FOLIAGE, size: float = 1.0
) -> None:
    """Draw a shrub: clumps of leaves, brighter towards the top."""
    x, y, scale = painter.at(across, range_m)
    rng = painter.rng
    tall, wide = scale * size * rng.uniform(0.4, 1.1), scale * size * rng.uniform(0.5, 1.0)
    if tall < 1.0:
        return
    _shadow(painter, x, y, wide, tall)
    item = painter.add_object(range_m)
    for k in range(9):
        up = rng.random()
        offset = rng.uniform(-1, 1) * wide * (1 - 0.6 * up)
        radius = wide * rng.uniform(0.22, 0.42)
        level = 1 + 4 * up + rng.uniform(-1, 1) + (1.0 if k > 5 else 0.0)
        painter.blob(
            x + offset,
            y - radius * 0.7 - up * (tall - radius),
            radius,
            radius * 0.8,
            item + code_of(material, int(level)),
        )


def rock(painter: Painter, across: float, range_m: float) -> None:
    """Draw a boulder with a lit and a dark flank."""
    x, y, scale = painter.at(across, range_m)
    rng = painter.rng
    size = scale * rng.uniform(0.2, 0.7)
    if size < 1.0:
        return
    _shadow(painter, x, y, size, size * 0.7)
    item = painter.add_object(range_m)
    angles = np.sort(rng.uniform(0, np.pi, 5))
    top = [
        (x + size * math.cos(a) * rng.uniform(0.8, 1.1), y - 0.8 * size * math.sin(a) * rng.uniform(0.7, 1))
        for a in angles
    ]
    painter.draw.polygon([(x - size, y), *reversed(top), (x + size, y)], fill=item + code_of(Material.ROCK, 3))
    lit = top[:3] if painter.place.sun[0] > 0 else top[2:]
    painter.draw.polygon([(x, y - size * 0.2), *lit], fill=item + code_of(Material.ROCK, 6))


def tree(painter: Painter, across: float, range_m: float, material: Material = Material.FOLIAGE) -> None:
    """Draw a broadleaf tree, or a conifer in tiers."""
    x, y, scale = painter.at(across, range_m)
    rng = painter.rng
    tall = scale * rng.uniform(5.5, 11.0)
    _shadow(painter, x, y, tall * 0.22, tall)
    item = painter.add_object(range_m)
    trunk = max(1, round(scale * 0.35))
    painter.draw.line((x, y, x + tall * 0.02, y - tall * 0.6), fill=item + code_of(Material.BARK, 3), width=trunk)
    if material is Material.CONIFER:
        for k in range(7):
            base = y - tall * (0.12 + 0.125 * k)
            half = tall * 0.20 * (1 - k / 7.5) * rng.uniform(0.85, 1.1)
            shape = [(x - half, base), (x, base - tall * 0.2), (x + half, base)]
            painter.draw.polygon(shape, fill=item + code_of(material, int(rng.integers(1, 5))))
        return
    for k in range(22):
        angle, reach = rng.uniform(0, 2 * np.pi), tall * 0.20 * math.sqrt(rng.random())
        bx, by = x + reach * math.cos(angle) * 1.1, y - tall * 0.66 + reach * math.sin(angle) * 1.3
        radius = tall * rng.uniform(0.05, 0.10)
        lit = 2.5 - 3.0 * math.sin(angle) * reach / (tall * 0.2) + rng.uniform(-1.2, 1.2) + k * 0.05
        painter.blob(bx, by, radius, radius * 0.85, item + code_of(material, int(lit)))


def tuft(painter: Painter, across: float, range_m: float) -> None:
    """Draw a tuft of tall grass."""
    x, y, scale = painter.at(across, range_m)
    rng = painter.rng
    tall = scale * rng.uniform(0.25, 0.7)
    if tall < 1.5:
        return
    item = painter.add_object(range_m)
    for _ in range(7):
        tip = (x + rng.uniform(-0.6, 0.6) * tall, y - tall * rng.uniform(0.5, 1))
        painter.draw.line(
            (x + rng.uniform(-0.3, 0.3) * tall, y, *tip),
            width=1,
            fill=item + code_of(Material.DRY if rng.random() < 0.6 else Material.FOLIAGE, int(rng.integers(2, 7))),
        )


def pole(painter: Painter, across: float, range_m: float) -> None:
    """Draw a street lamp."""
    x, y, scale = painter.at(across, range_m)
    item = painter.add_object(range_m)
    tall = scale * 6.5
    painter.draw.line((x, y, x, y - tall), fill=item + code_of(Material.METAL, 4), width=max(1, round(scale * 0.16)))
    arm = scale * 1.4 * (1 if painter.rng.random() < 0.5 else -1)
    painter.draw.line(
        (x, y - tall, x + arm, y - tall), fill=item + code_of(Material.METAL, 5), width=max(1, round(scale * 0.12))
    )


def flat(painter: Painter, corners: list[tuple[float, float]], code: int) -> None:
    """Fill a polygon on the ground, corners (across, range) in metres."""
    painter.draw.polygon([painter.at(across, range_m)[:2] for across, range_m in corners], fill=code)


def building(painter: Painter, start_m: float, width_m: float, range_m: float) -> None:
    """Draw a facade with rows of windows, some of them lit."""
    x, y, scale = painter.at(start_m, range_m)
    rng = painter.rng
    floors = int(rng.integers(2, 7))
    tall, wide = floors * 3.2 * scale, width_m * scale
    item, wall = painter.add_object(range_m), Material.WALL if rng.random() < 0.5 else Material.PLASTER
    painter.draw.rectangle((x, y - tall, x + wide, y), fill=item + code_of(wall, int(rng.integers(2, 6))))
    bay = float(rng.uniform(2.4, 3.4)) * scale
    if bay < 4:
        return
    for floor in range(floors):
        for left in np.arange(x + bay * 0.3, x + wide - bay * 0.6, bay):
            sill = y - floor * 3.2 * scale - scale
            level = 7 if rng.random() < 0.18 else int(rng.integers(1, 4))
            painter.draw.rectangle(
                (left, sill - 1.5 * scale, left + bay * 0.45, sill), fill=item + code_of(Material.WINDOW, level)
            )
