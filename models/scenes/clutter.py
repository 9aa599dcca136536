"""Clutter of each background: roads, tracks, vegetation, buildings. Single props are drawn by `models.scenes.props`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.scenes.painter import SCALE, Material, Painter, code_of
from models.scenes.place import Place
from models.scenes.portable import sines
from models.scenes.props import building, flat, pole, rock, shrub, tree, tuft

__all__ = ["SCALE", "Clutter", "Material", "draw_clutter"]


@dataclass
class Clutter:
    """Clutter over the canvas.

    Attributes:
        codes: int32 [H * SCALE, W * SCALE]: object * 128 + material * 8 + brightness (0 to 7); object 0 is flat paint.
        ranges_m: range of each object; the first, flat paint, is at infinity and occludes nothing.
    """

    codes: NDArray[np.int32]
    ranges_m: list[float] = field(default_factory=lambda: [float("inf")])


def draw_clutter(place: Place, width: int, rng: np.random.Generator) -> Clutter:
    """Draw the clutter that belongs to the place's background on a canvas of ``width`` pixels."""
    painter = Painter(place, width, rng)
    _BACKGROUNDS[place.background](painter)
    return Clutter(np.asarray(painter.image, dtype=np.int32), painter.ranges)


def _near_far(painter: Painter) -> tuple[float, float]:
    camera = painter.place.camera
    return camera.range_m(camera.height + 6), min(camera.range_m(0.0), 900.0)


def _scatter(
    painter: Painter, count: int, draw: Callable[[Painter, float, float], None], near_m: float, far_m: float
) -> None:
    """Draw ``count`` props at random positions, farthest first."""
    spots = sorted((painter.random_spot(near_m, far_m) for _ in range(count)), key=lambda spot: -spot[1])
    for across, range_m in spots:
        draw(painter, across, range_m)


def _track(painter: Painter, width_m: float, code: int, near_m: float, far_m: float) -> None:
    """Draw a bending track that leads away."""
    rng = painter.rng
    start, end = rng.uniform(-0.3, 0.3, 2) * painter.width * painter.place.camera.ifov_rad * np.array([near_m, far_m])
    steps = near_m * np.array([(far_m / near_m) ** (k / 7) for k in range(8)])
    fraction = (steps - near_m) / (far_m - near_m)
    middle = start + (end - start) * fraction + rng.uniform(-0.1, 0.1) * near_m * sines(fraction * 5)
    left = [(float(m - width_m / 2), float(r)) for m, r in zip(middle, steps, strict=True)]
    right = [(float(m + width_m / 2), float(r)) for m, r in zip(middle, steps, strict=True)]
    flat(painter, left + right[::-1], code)


def _desert(painter: Painter) -> None:
    near, far = _near_far(painter)
    if painter.rng.random() < 0.5:
        _track(painter, 3.2, code_of(Material.TRACK, 5), near, min(far, 8 * near))
    _scatter(painter, int(painter.rng.integers(18, 40)), rock, near, far)
    _scatter(
        painter,
        int(painter.rng.integers(45, 95)),
        lambda e, a, r: shrub(e, a, r, Material.DRY if e.rng.random() < 0.45 else Material.FOLIAGE, 0.8),
        near,
        min(far, 260.0),
    )


def _grassland(painter: Painter) -> None:
    near, far = _near_far(painter)
    if painter.rng.random() < 0.5:
        _track(painter, 3.0, code_of(Material.TRACK, 4), near, min(far, 8 * near))
    _scatter(painter, int(painter.rng.integers(0, 5)), tree, max(near, far * 0.45), far)
    _scatter(painter, int(painter.rng.integers(8, 26)), lambda e, a, r: shrub(e, a, r, size=1.1), near * 1.1, far)
    _scatter(painter, int(painter.rng.integers(70, 150)), tuft, near, min(far, 160.0))


def _forest(painter: Painter) -> None:
    near, far = _near_far(painter)
    camera, rng = painter.place.camera, painter.rng
    edge = camera.range_m(max(camera.row(far), 0) + rng.uniform(0.16, 0.38) * camera.height)
    back = camera.row(edge) * SCALE
    dark = painter.add_object(min(far, edge * 1.3))
    painter.draw.rectangle(
        (0, back - 9 * camera.px_per_m(edge) * SCALE, painter.width * SCALE, back - 2),
        fill=dark + code_of(Material.FOLIAGE, 0),
    )
    _scatter(
        painter,
        60,
        lambda e, a, r: tree(e, a, r, Material.CONIFER if e.rng.random() < 0.4 else Material.FOLIAGE),
        edge,
        max(min(far, edge * 1.8), edge * 1.05),
    )
    _scatter(painter, int(rng.integers(12, 30)), lambda e, a, r: shrub(e, a, r, size=1.3), edge * 0.9, edge)
    _scatter(painter, int(rng.integers(5, 14)), lambda e, a, r: shrub(e, a, r, size=1.0), near, edge)
    _scatter(painter, int(rng.integers(40, 90)), tuft, near, edge)
    _scatter(painter, int(rng.integers(0, 3)), tree, near * 1.3, edge)


def _snow(painter: Painter) -> None:
    near, far = _near_far(painter)
    for _ in range(int(painter.rng.integers(0, 3))):
        _track(painter, 0.45, code_of(Material.TRACK, 6), near, min(far, 8 * near))
    _scatter(
        painter,
        int(painter.rng.integers(3, 16)),
        lambda e, a, r: tree(e, a, r, Material.CONIFER),
        max(near, far * 0.4),
        far,
    )
    _scatter(painter, int(painter.rng.integers(6, 20)), rock, near, far)
    _scatter(painter, int(painter.rng.integers(6, 22)), lambda e, a, r: shrub(e, a, r, Material.DRY, 0.7), near, far)


def _urban(painter: Painter) -> None:
    near, far = _near_far(painter)
    camera, rng = painter.place.camera, painter.rng
    front = camera.range_m(max(camera.row(far), 0) + rng.uniform(0.12, 0.32) * camera.height)
    half = painter.width * front * camera.ifov_rad
    flat(
        painter, [(-half, front), (half, front), (half, front * 0.93), (-half, front * 0.93)], code_of(Material.KERB, 4)
    )
    _lanes(painter, near, front * 0.92)
    start = -half / 2
    while start < half:
        wide = float(rng.uniform(9, 20))
        building(painter, start, wide, front * float(rng.uniform(1.0, 1.04)))
        start += wide + float(rng.choice([0.3, 5.0]))
    _scatter(painter, int(rng.integers(2, 7)), pole, near * 1.3, front)
    _scatter(painter, int(rng.integers(0, 4)), tree, front * 0.93, front)


def _lanes(painter: Painter, near: float, far: float) -> None:
    """Paint dashed lanes that lead across or away, and a crossing."""
    rng, camera = painter.rng, painter.place.camera
    half = painter.width / 2 * far * camera.ifov_rad
    if rng.random() < 0.5:
        for range_m in np.arange(near + rng.uniform(0, 4), far, 7.0):
            for x in np.arange(-half, half, 6.0):
                flat(
                    painter,
                    [(x, range_m), (x + 3, range_m), (x + 3, range_m + 0.5), (x, range_m + 0.5)],
                    code_of(Material.MARKING, 5),
                )
        return
    offset = float(rng.uniform(-3, 3))
    for x in np.arange(-14, 15, 3.5):
        solid = rng.random() < 0.3
        for range_m in np.arange(near, far, 6.0):
            end = range_m + (6.0 if solid else 3.0)
            flat(
                painter,
                [(offset + x, range_m), (offset + x + 0.18, range_m), (offset + x + 0.18, end), (offset + x, end)],
                code_of(Material.MARKING, 5),
            )


_BACKGROUNDS: dict[str, Callable[[Painter], None]] = {
    "desert_scrub": _desert,
    "grassland": _grassland,
    "urban": _urban,
    "forest_edge": _forest,
    "snow": _snow,
}
