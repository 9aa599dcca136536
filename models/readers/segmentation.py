"""Bounding rectangles of polygons, rotated boxes and run-length masks.

Masks are never unpacked, since a file may claim any size; their runs suffice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from models.readers.text import number

__all__ = ["around_points", "around_rotated", "around_segmentation"]

Rectangle = tuple[float, float, float, float]
_MAX_RUNS = 1_000_000


def around_points(points: Sequence[Any]) -> Rectangle:
    """Return x0, y0, x1, y1 around ``x, y, x, y, ...``, at least three points.

    Raises:
        ValueError: there are fewer, or one is not a number.
    """
    values = [number(v) for v in points]
    if len(values) < 6 or len(values) % 2:
        raise ValueError("a polygon needs at least three points")
    return min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])


def around_rotated(centre_x: float, centre_y: float, width: float, height: float, angle_rad: float) -> Rectangle:
    """Return x0, y0, x1, y1 around a rotated box."""
    c, s = abs(math.cos(angle_rad)), abs(math.sin(angle_rad))
    half_x, half_y = (width * c + height * s) / 2, (width * s + height * c) / 2
    return centre_x - half_x, centre_y - half_y, centre_x + half_x, centre_y + half_y


def around_segmentation(segmentation: object) -> Rectangle:
    """Return x0, y0, x1, y1 around a COCO segmentation: a list of polygons, or a run-length mask.

    Raises:
        ValueError: it is neither, or empty.
    """
    if isinstance(segmentation, dict):
        return _around_runs(segmentation)
    if not isinstance(segmentation, list) or not segmentation:
        raise ValueError("there is neither a box nor a segmentation")
    parts = segmentation if isinstance(segmentation[0], list) else [segmentation]
    boxes = [around_points(_flat(part)) for part in parts if part]
    if not boxes:
        raise ValueError("there is neither a box nor a segmentation")
    return min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes)


def _flat(part: object) -> list[Any]:
    """Return x, y, x, y, ... of a polygon; some tools write each point as a nested pair."""
    if not isinstance(part, list):
        raise ValueError("a polygon must be a list")
    pairs = all(isinstance(point, list) for point in part)
    return [v for point in part for v in point] if pairs else part


def _around_runs(mask: dict[str, Any]) -> Rectangle:
    """Column by column, alternating runs of background and object (COCO API, ``maskApi.c``, rleToBbox)."""
    size, counts = mask.get("size"), mask.get("counts")
    if not isinstance(size, list) or len(size) != 2 or not isinstance(counts, list | str):
        raise ValueError("a mask needs a size and counts")
    height, width = int(number(size[0])), int(number(size[1]))
    runs = _unpack(counts) if isinstance(counts, str) else [int(number(v)) for v in counts[:_MAX_RUNS]]
    if height < 1 or width < 1 or min(runs, default=0) < 0 or sum(runs) > height * width:
        raise ValueError("a mask's runs do not fit its size")
    left, top, right, bottom, position = width, height, 0, 0, 0
    for index, run in enumerate(runs):
        if index % 2 and run:
            first, last = position, position + run - 1
            left, right = min(left, first // height), max(right, last // height + 1)
            whole = first // height != last // height
            top = 0 if whole else min(top, first % height)
            bottom = height if whole else max(bottom, last % height + 1)
        position += run
    if right <= left or bottom <= top:
        raise ValueError("the mask is empty")
    return float(left), float(top), float(right), float(bottom)


def _unpack(text: str) -> list[int]:
    """Unpack COCO's compressed counts: 5 bits a character, differences to the run before the last (``rleFrString``)."""
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60 or len(runs) > _MAX_RUNS:
            raise ValueError("a mask's counts cannot be read")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    return runs
