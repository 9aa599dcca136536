"""Rasterising a solid to a sprite: projection, shading, and supersampling."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from models.scenes.palette import LEVELS, Palette
from models.scenes.portable import times
from models.scenes.solid import Face, Pose, Solid

__all__ = ["Sprite", "rasterise"]

_SHADOW_SCALE = 2


@dataclass(frozen=True)
class Sprite:
    """An object's image and its position in the frame.

    Attributes:
        x: left column in the frame (may be negative).
        y: top row in the frame.
        colour: float32 [h, w, 3], radiance times opacity.
        kelvin: float32 [h, w], temperature times opacity.
        opacity: float32 [h, w], 0 to 1.
        shadow: float32 [sh, sw], 0 to 1, or None without direct light.
        shadow_x: left column of the shadow.
        shadow_y: top row of the shadow.
    """

    x: int
    y: int
    colour: NDArray[np.float32]
    kelvin: NDArray[np.float32]
    opacity: NDArray[np.float32]
    shadow: NDArray[np.float32] | None
    shadow_x: int
    shadow_y: int


@dataclass(frozen=True, slots=True)
class _Primitive:
    """A face or stroke on the screen."""

    screen: NDArray[np.float64]
    ground: NDArray[np.float64]
    code: int
    width_m: float
    closed: bool
    hidden: bool


def rasterise(
    solid: Solid, pose: Pose, palette: Palette, foot: tuple[float, float], px_per_m: float, direct: float
) -> Sprite:
    """Draw ``solid`` with its origin at ``foot`` (x, y in pixels of the frame) at ``px_per_m`` pixels per metre."""
    primitives = _project(solid, pose, direct)
    points = np.concatenate([p.screen[:, :2] for p in primitives])
    reach = max(p.width_m for p in primitives) / 2 * px_per_m + 1
    left, right = points[:, 0].min() * px_per_m + foot[0] - reach, points[:, 0].max() * px_per_m + foot[0] + reach
    top, bottom = foot[1] - points[:, 1].max() * px_per_m - reach, foot[1] - points[:, 1].min() * px_per_m + reach
    x, y = math.floor(left), math.floor(top)
    width, height = math.ceil(right) - x, math.ceil(bottom) - y
    scale = int(min(8, max(3, 150 // max(width, height))))
    codes = _draw(primitives, (width, height), scale, px_per_m, (foot[0] - x, foot[1] - y))
    summed = _average(palette.table.take(codes, axis=0), height, width, scale)
    shadow, shadow_x, shadow_y = _draw_shadow(primitives, foot, px_per_m) if direct > 0.2 else (None, 0, 0)
    return Sprite(x, y, summed[..., :3], summed[..., 3], summed[..., 4], shadow, shadow_x, shadow_y)


def _project(solid: Solid, pose: Pose, direct: float) -> list[_Primitive]:
    """Transform everything to the view frame at once; return it far to near, back faces marked as hidden."""
    items = [item for group in solid.groups for item in group]
    view = pose.to_view(np.array([p for item in items for p in item.points], np.float64))
    normals = pose.to_view(np.array([_normal(item) for item in items], np.float64))
    screen, ground = pose.to_screen(view), pose.to_screen(pose.to_shadow(view))
    towards = times(normals, np.array([0.0, -math.cos(pose.depression_rad), math.sin(pose.depression_rad)]))
    levels = _levels(normals, pose, direct)
    groups: list[tuple[float, list[_Primitive]]] = []
    start = index = 0
    for group in solid.groups:
        drawn, first = [], start
        for item in group:
            end = start + len(item.points)
            face = isinstance(item, Face)
            hidden = face and item.normal is not None and bool(towards[index] <= 0.0)  # type: ignore[union-attr]
            drawn.append(
                _Primitive(
                    screen[start:end],
                    ground[start:end],
                    int(item.part) + 32 * int(levels[index]),
                    0.0 if isinstance(item, Face) else item.width,
                    False if isinstance(item, Face) else item.closed,
                    hidden,
                )
            )
            start, index = end, index + 1
        groups.append((float(screen[first:start, 2].mean()), drawn))
    groups.sort(key=lambda entry: -entry[0])
    return [primitive for _, drawn in groups for primitive in drawn]


def _normal(item: object) -> tuple[float, float, float]:
    """Shade a round stroke like a surface that is half turned to the sky."""
    normal = item.normal if isinstance(item, Face) else None
    return normal or (0.0, 0.0, 0.4)


def _levels(normals: NDArray[np.float64], pose: Pose, direct: float) -> NDArray[np.int64]:
    """Lambert's law for the sun, plus the fraction of the sky that a face sees."""
    sun = np.maximum(times(normals, np.array(pose.sun)), 0.0) * 1.3
    sky = 0.45 + 0.4 * normals[:, 2]
    value = direct * sun + (1 - direct) * sky + 0.1
    levels: NDArray[np.int64] = np.clip(np.rint(value * (LEVELS - 1)), 0, LEVELS - 1).astype(np.int64)
    return levels


def _draw(
    primitives: list[_Primitive], size: tuple[int, int], scale: int, px_per_m: float, foot: tuple[float, float]
) -> NDArray[np.uint8]:
    image = Image.new("L", (size[0] * scale, size[1] * scale))
    draw = ImageDraw.Draw(image)
    origin = np.array([foot[0], foot[1]]) * scale
    factor = np.array([px_per_m, -px_per_m]) * scale
    for primitive in primitives:
        if primitive.hidden:
            continue
        flat = (primitive.screen[:, :2] * factor + origin).ravel().tolist()
        if primitive.width_m == 0.0:
            draw.polygon(flat, fill=primitive.code)
        else:
            _stroke(draw, flat, primitive.width_m * px_per_m * scale, primitive.code, primitive.closed)
    return np.asarray(image)


def _average(samples: NDArray[np.float32], height: int, width: int, scale: int) -> NDArray[np.float32]:
    """Downsample float32 [height * scale, width * scale, 5] by averaging, rows first (faster)."""
    rows = np.add.reduce(samples.reshape(height, scale, width * scale * 5), axis=1)
    pixels = rows.reshape(height, width, scale, 5).sum(axis=2)
    return np.asarray(pixels * np.float32(1 / scale**2), np.float32)


def _stroke(draw: ImageDraw.ImageDraw, flat: list[float], width: float, code: int, closed: bool) -> None:
    """Draw a bar with round ends."""
    if closed:
        draw.line([*flat, *flat[:2]], fill=code, width=max(1, round(width)))
        return
    draw.line(flat, fill=code, width=max(1, round(width)))
    radius = width / 2
    if radius >= 1:
        for x, y in ((flat[0], flat[1]), (flat[-2], flat[-1])):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=code)


def _draw_shadow(
    primitives: list[_Primitive], foot: tuple[float, float], px_per_m: float
) -> tuple[NDArray[np.float32], int, int]:
    """Draw the shadow of all parts on the ground."""
    points = np.concatenate([p.ground[:, :2] for p in primitives]) * np.array([px_per_m, -px_per_m]) + np.array(foot)
    low, high = np.floor(points.min(axis=0)).astype(int) - 1, np.ceil(points.max(axis=0)).astype(int) + 1
    width, height = (int(v) for v in np.minimum(high - low, 240))
    image = Image.new("L", (width * _SHADOW_SCALE, height * _SHADOW_SCALE))
    draw = ImageDraw.Draw(image)
    factor = np.array([px_per_m, -px_per_m]) * _SHADOW_SCALE
    origin = (np.array(foot) - low) * _SHADOW_SCALE
    for primitive in primitives:
        flat = (primitive.ground[:, :2] * factor + origin).ravel().tolist()
        if primitive.width_m == 0.0:
            draw.polygon(flat, fill=1)
        else:
            draw.line(flat, fill=1, width=max(1, round(primitive.width_m * px_per_m * _SHADOW_SCALE)))
    mask = np.asarray(image, dtype=np.float32).reshape(height, _SHADOW_SCALE, width, _SHADOW_SCALE)
    return np.add.reduce(np.add.reduce(mask, axis=3), axis=1) / np.float32(_SHADOW_SCALE**2), int(low[0]), int(low[1])
