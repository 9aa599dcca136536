"""What stands on the ground beside the objects: shrubs, trees, rocks, poles, buildings; and what is painted on it.

Everything is drawn into one image of codes at twice the frame's resolution; each standing thing keeps its range, so
that it hides what is behind it. Nearer things hide objects, which is where occlusion comes from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from models.scenes.place import Place

__all__ = ["SCALE", "Clutter", "Stuff", "draw_clutter"]

SCALE = 2
"""Sub-pixels of the code image, each way."""


class Stuff(IntEnum):
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
class Clutter:
    """Clutter over the canvas.

    Attributes:
        codes: int32 [H * SCALE, W * SCALE]: thing * 128 + material * 8 + brightness level (0 to 7); thing 0 is flat.
        ranges_m: range of each thing; the first, for flat paint, is infinite: it hides nothing.
    """

    codes: NDArray[np.int32]
    ranges_m: list[float] = field(default_factory=lambda: [float("inf")])


@dataclass
class _Easel:
    """Draws in ground coordinates."""

    place: Place
    width: int
    rng: np.random.Generator

    def __post_init__(self) -> None:
        self.image = Image.new("I", (self.width * SCALE, self.place.camera.height * SCALE))
        self.draw = ImageDraw.Draw(self.image)
        self.ranges = [float("inf")]

    def thing(self, range_m: float) -> int:
        self.ranges.append(range_m)
        return (len(self.ranges) - 1) * 128

    def at(self, across_m: float, range_m: float) -> tuple[float, float, float]:
        """Return the foot's x, y and the pixels of a metre, all in sub-pixels."""
        camera = self.place.camera
        scale = camera.px_per_m(range_m) * SCALE
        return self.width * SCALE / 2 + across_m * scale, camera.row(range_m) * SCALE, scale

    def random_spot(self, near_m: float, far_m: float) -> tuple[float, float]:
        """Draw a spot evenly over the picture between two ranges: (across, range) in metres."""
        camera = self.place.camera
        low, high = camera.row(far_m), camera.row(near_m)
        range_m = camera.range_m(float(self.rng.uniform(low, high)))
        half = self.width / 2 * range_m * camera.ifov_rad
        return float(self.rng.uniform(-half, half)), range_m

    def blob(self, x: float, y: float, radius_x: float, radius_y: float, code: int) -> None:
        self.draw.ellipse((x - radius_x, y - radius_y, x + radius_x, y + radius_y), fill=code)


def draw_clutter(place: Place, width: int, rng: np.random.Generator) -> Clutter:
    """Draw the clutter that belongs to the place's background on a canvas of ``width`` pixels."""
    easel = _Easel(place, width, rng)
    _BACKGROUNDS[place.background](easel)
    return Clutter(np.asarray(easel.image, dtype=np.int32), easel.ranges)


def _code(stuff: Stuff, level: int) -> int:
    return int(stuff) * 8 + int(min(max(level, 0), 7))


def _near_far(easel: _Easel) -> tuple[float, float]:
    camera = easel.place.camera
    return camera.range_m(camera.height + 6), min(camera.range_m(0.0), 900.0)


def _scatter(
    easel: _Easel, count: int, draw: Callable[[_Easel, float, float], None], near_m: float, far_m: float
) -> None:
    """Draw ``count`` things at random spots, the farthest first."""
    spots = sorted((easel.random_spot(near_m, far_m) for _ in range(count)), key=lambda spot: -spot[1])
    for across, range_m in spots:
        draw(easel, across, range_m)


def _shadow(easel: _Easel, x: float, y: float, width: float, tall: float) -> None:
    """Lay a soft-edged shadow of something ``tall`` sub-pixels high, away from the sun, flat on the ground."""
    if easel.place.direct < 0.2:
        return
    right, away, up = easel.place.sun
    reach = tall / max(up, 0.3) * 0.6
    tilt = 0.15
    dx, dy = -right * reach, away * reach * tilt
    for share in (0.35, 0.7, 1.0):
        easel.blob(x + dx * share, y + dy * share, width * (1.1 - 0.4 * share), max(width * 0.25, 1.0),
                   _code(Stuff.SHADE, 0))


def _shrub(easel: _Easel, across: float, range_m: float, stuff: Stuff = Stuff.FOLIAGE, size: float = 1.0) -> None:
    x, y, scale = easel.at(across, range_m)
    rng = easel.rng
    tall, wide = scale * size * rng.uniform(0.4, 1.1), scale * size * rng.uniform(0.5, 1.0)
    if tall < 1.0:
        return
    _shadow(easel, x, y, wide, tall)
    thing = easel.thing(range_m)
    for k in range(9):
        up = rng.random()
        offset = rng.uniform(-1, 1) * wide * (1 - 0.6 * up)
        radius = wide * rng.uniform(0.22, 0.42)
        level = 1 + 4 * up + rng.uniform(-1, 1) + (1.0 if k > 5 else 0.0)
        easel.blob(x + offset, y - radius * 0.7 - up * (tall - radius), radius, radius * 0.8,
                   thing + _code(stuff, int(level)))


def _rock(easel: _Easel, across: float, range_m: float) -> None:
    x, y, scale = easel.at(across, range_m)
    rng = easel.rng
    size = scale * rng.uniform(0.2, 0.7)
    if size < 1.0:
        return
    _shadow(easel, x, y, size, size * 0.7)
    thing = easel.thing(range_m)
    angles = np.sort(rng.uniform(0, np.pi, 5))
    top = [(x + size * np.cos(a) * rng.uniform(0.8, 1.1), y - 0.8 * size * np.sin(a) * rng.uniform(0.7, 1)) for a in angles]
    easel.draw.polygon([(x - size, y), *reversed(top), (x + size, y)], fill=thing + _code(Stuff.ROCK, 3))
    lit = top[:3] if easel.place.sun[0] > 0 else top[2:]
    easel.draw.polygon([(x, y - size * 0.2), *lit], fill=thing + _code(Stuff.ROCK, 6))


def _tree(easel: _Easel, across: float, range_m: float, stuff: Stuff = Stuff.FOLIAGE) -> None:
    x, y, scale = easel.at(across, range_m)
    rng = easel.rng
    tall = scale * rng.uniform(5.5, 11.0)
    _shadow(easel, x, y, tall * 0.22, tall)
    thing = easel.thing(range_m)
    trunk = max(1, round(scale * 0.35))
    easel.draw.line((x, y, x + tall * 0.02, y - tall * 0.6), fill=thing + _code(Stuff.BARK, 3), width=trunk)
    if stuff is Stuff.CONIFER:
        for k in range(7):
            base = y - tall * (0.12 + 0.125 * k)
            half = tall * 0.20 * (1 - k / 7.5) * rng.uniform(0.85, 1.1)
            shape = [(x - half, base), (x, base - tall * 0.2), (x + half, base)]
            easel.draw.polygon(shape, fill=thing + _code(stuff, int(rng.integers(1, 5))))
        return
    for k in range(22):
        angle, reach = rng.uniform(0, 2 * np.pi), tall * 0.20 * np.sqrt(rng.random())
        bx, by = x + reach * np.cos(angle) * 1.1, y - tall * 0.66 + reach * np.sin(angle) * 1.3
        radius = tall * rng.uniform(0.05, 0.10)
        lit = 2.5 - 3.0 * np.sin(angle) * reach / (tall * 0.2) + rng.uniform(-1.2, 1.2) + k * 0.05
        easel.blob(bx, by, radius, radius * 0.85, thing + _code(stuff, int(lit)))


def _tuft(easel: _Easel, across: float, range_m: float) -> None:
    x, y, scale = easel.at(across, range_m)
    rng = easel.rng
    tall = scale * rng.uniform(0.25, 0.7)
    if tall < 1.5:
        return
    thing = easel.thing(range_m)
    for _ in range(7):
        tip = (x + rng.uniform(-0.6, 0.6) * tall, y - tall * rng.uniform(0.5, 1))
        easel.draw.line((x + rng.uniform(-0.3, 0.3) * tall, y, *tip), width=1,
                        fill=thing + _code(Stuff.DRY if rng.random() < 0.6 else Stuff.FOLIAGE, int(rng.integers(2, 7))))


def _pole(easel: _Easel, across: float, range_m: float) -> None:
    x, y, scale = easel.at(across, range_m)
    thing = easel.thing(range_m)
    tall = scale * 6.5
    easel.draw.line((x, y, x, y - tall), fill=thing + _code(Stuff.METAL, 4), width=max(1, round(scale * 0.16)))
    arm = scale * 1.4 * (1 if easel.rng.random() < 0.5 else -1)
    easel.draw.line((x, y - tall, x + arm, y - tall), fill=thing + _code(Stuff.METAL, 5), width=max(1, round(scale * 0.12)))


def _flat(easel: _Easel, corners: list[tuple[float, float]], code: int) -> None:
    """Fill a polygon on the ground, corners (across, range) in metres."""
    easel.draw.polygon([easel.at(across, range_m)[:2] for across, range_m in corners], fill=code)


def _track(easel: _Easel, width_m: float, code: int, near_m: float, far_m: float) -> None:
    """Draw a bending track that leads away."""
    rng = easel.rng
    start, end = rng.uniform(-0.3, 0.3, 2) * easel.width * easel.place.camera.ifov_rad * np.array([near_m, far_m])
    steps = np.geomspace(near_m, far_m, 8)
    share = (steps - near_m) / (far_m - near_m)
    middle = start + (end - start) * share + rng.uniform(-0.1, 0.1) * near_m * np.sin(share * 5)
    left = [(float(m - width_m / 2), float(r)) for m, r in zip(middle, steps, strict=True)]
    right = [(float(m + width_m / 2), float(r)) for m, r in zip(middle, steps, strict=True)]
    _flat(easel, left + right[::-1], code)


def _desert(easel: _Easel) -> None:
    near, far = _near_far(easel)
    if easel.rng.random() < 0.5:
        _track(easel, 3.2, _code(Stuff.TRACK, 5), near, min(far, 8 * near))
    _scatter(easel, int(easel.rng.integers(18, 40)), _rock, near, far)
    _scatter(easel, int(easel.rng.integers(45, 95)), lambda e, a, r: _shrub(e, a, r, Stuff.DRY if e.rng.random() < 0.45
             else Stuff.FOLIAGE, 0.8), near, min(far, 260.0))


def _grassland(easel: _Easel) -> None:
    near, far = _near_far(easel)
    if easel.rng.random() < 0.5:
        _track(easel, 3.0, _code(Stuff.TRACK, 4), near, min(far, 8 * near))
    _scatter(easel, int(easel.rng.integers(0, 5)), _tree, max(near, far * 0.45), far)
    _scatter(easel, int(easel.rng.integers(8, 26)), lambda e, a, r: _shrub(e, a, r, size=1.1), near * 1.1, far)
    _scatter(easel, int(easel.rng.integers(70, 150)), _tuft, near, min(far, 160.0))


def _forest(easel: _Easel) -> None:
    near, far = _near_far(easel)
    camera, rng = easel.place.camera, easel.rng
    edge = camera.range_m(max(camera.row(far), 0) + rng.uniform(0.16, 0.38) * camera.height)
    back = camera.row(edge) * SCALE
    dark = easel.thing(min(far, edge * 1.3))
    easel.draw.rectangle((0, back - 9 * camera.px_per_m(edge) * SCALE, easel.width * SCALE, back - 2),
                         fill=dark + _code(Stuff.FOLIAGE, 0))
    _scatter(easel, 60, lambda e, a, r: _tree(e, a, r, Stuff.CONIFER if e.rng.random() < 0.4 else Stuff.FOLIAGE),
             edge, max(min(far, edge * 1.8), edge * 1.05))
    _scatter(easel, int(rng.integers(12, 30)), lambda e, a, r: _shrub(e, a, r, size=1.3), edge * 0.9, edge)
    _scatter(easel, int(rng.integers(5, 14)), lambda e, a, r: _shrub(e, a, r, size=1.0), near, edge)
    _scatter(easel, int(rng.integers(40, 90)), _tuft, near, edge)
    _scatter(easel, int(rng.integers(0, 3)), _tree, near * 1.3, edge)


def _snow(easel: _Easel) -> None:
    near, far = _near_far(easel)
    for _ in range(int(easel.rng.integers(0, 3))):
        _track(easel, 0.45, _code(Stuff.TRACK, 6), near, min(far, 8 * near))
    _scatter(easel, int(easel.rng.integers(3, 16)), lambda e, a, r: _tree(e, a, r, Stuff.CONIFER), max(near, far * 0.4), far)
    _scatter(easel, int(easel.rng.integers(6, 20)), _rock, near, far)
    _scatter(easel, int(easel.rng.integers(6, 22)), lambda e, a, r: _shrub(e, a, r, Stuff.DRY, 0.7), near, far)


def _urban(easel: _Easel) -> None:
    near, far = _near_far(easel)
    camera, rng = easel.place.camera, easel.rng
    front = camera.range_m(max(camera.row(far), 0) + rng.uniform(0.12, 0.32) * camera.height)
    half = easel.width * front * camera.ifov_rad
    _flat(easel, [(-half, front), (half, front), (half, front * 0.93), (-half, front * 0.93)], _code(Stuff.KERB, 4))
    _lanes(easel, near, front * 0.92)
    start = -half / 2
    while start < half:
        wide = float(rng.uniform(9, 20))
        _building(easel, start, wide, front * float(rng.uniform(1.0, 1.04)))
        start += wide + float(rng.choice([0.3, 5.0]))
    _scatter(easel, int(rng.integers(2, 7)), _pole, near * 1.3, front)
    _scatter(easel, int(rng.integers(0, 4)), _tree, front * 0.93, front)


def _lanes(easel: _Easel, near: float, far: float) -> None:
    """Paint dashed lanes that lead across or away, and a crossing."""
    rng, camera = easel.rng, easel.place.camera
    half = easel.width / 2 * far * camera.ifov_rad
    if rng.random() < 0.5:
        for range_m in np.arange(near + rng.uniform(0, 4), far, 7.0):
            for x in np.arange(-half, half, 6.0):
                _flat(easel, [(x, range_m), (x + 3, range_m), (x + 3, range_m + 0.5), (x, range_m + 0.5)],
                      _code(Stuff.MARKING, 5))
        return
    offset = float(rng.uniform(-3, 3))
    for x in np.arange(-14, 15, 3.5):
        solid = rng.random() < 0.3
        for range_m in np.arange(near, far, 6.0):
            end = range_m + (6.0 if solid else 3.0)
            _flat(easel, [(offset + x, range_m), (offset + x + 0.18, range_m), (offset + x + 0.18, end),
                          (offset + x, end)], _code(Stuff.MARKING, 5))


def _building(easel: _Easel, start_m: float, width_m: float, range_m: float) -> None:
    x, y, scale = easel.at(start_m, range_m)
    rng = easel.rng
    floors = int(rng.integers(2, 7))
    tall, wide = floors * 3.2 * scale, width_m * scale
    thing, wall = easel.thing(range_m), Stuff.WALL if rng.random() < 0.5 else Stuff.PLASTER
    easel.draw.rectangle((x, y - tall, x + wide, y), fill=thing + _code(wall, int(rng.integers(2, 6))))
    bay = float(rng.uniform(2.4, 3.4)) * scale
    if bay < 4:
        return
    for floor in range(floors):
        for left in np.arange(x + bay * 0.3, x + wide - bay * 0.6, bay):
            sill = y - floor * 3.2 * scale - scale
            level = 7 if rng.random() < 0.18 else int(rng.integers(1, 4))
            easel.draw.rectangle((left, sill - 1.5 * scale, left + bay * 0.45, sill), fill=thing + _code(Stuff.WINDOW, level))


_BACKGROUNDS: dict[str, Callable[[_Easel], None]] = {
    "desert_scrub": _desert,
    "grassland": _grassland,
    "urban": _urban,
    "forest_edge": _forest,
    "snow": _snow,
}
