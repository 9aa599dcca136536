"""Anchors of an SSD: from sizes for each level, or as TensorFlow's object detection generates them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from models.card.candidates import Floats, grid_cells
from models.errors import DataError

__all__ = ["Anchors"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchors:
    """Anchors around each cell's centre, level by level, row by row, all of a cell one after the other.

    With ``sizes`` a level has these anchors. Without, its scale is spread evenly from ``min_scale`` to ``max_scale``
    (Liu et al., SSD, 2016, equation 4), an anchor for each aspect ratio and one of ratio 1 at the geometric mean of
    this scale and the next; the first level has three, if reduced (as ``ssd_anchor_generator`` of TensorFlow's object
    detection has it).

    Attributes:
        strides: of the levels.
        sizes: for each level, each anchor's width and height in pixels.
        min_scale: of the first level, a fraction of the shorter side of the input.
        max_scale: of the last level.
        ratios: width over height.
        reduced: the first level has three anchors: scale 0.1 of ratio 1, then its own of ratios 2 and 1/2.
    """

    strides: tuple[int, ...]
    sizes: tuple[tuple[tuple[float, float], ...], ...] = ()
    min_scale: float = 0.2
    max_scale: float = 0.95
    ratios: tuple[float, ...] = (1.0, 2.0, 0.5, 3.0, 1.0 / 3.0)
    reduced: bool = True

    def boxes(self, size: tuple[int, int]) -> Floats:
        """Return centre x, centre y, width and height in pixels of an input of this height and width, float32 [n, 4].

        Raises:
            DataError: there are sizes for another number of levels.
        """
        levels = self.sizes or self._generated(size)
        if len(levels) != len(self.strides):
            raise DataError(f"anchors: {len(levels)} levels of sizes for {len(self.strides)} strides")
        parts = []
        for stride, anchors in zip(self.strides, levels, strict=True):
            cells, _ = grid_cells(size, [stride], len(anchors))
            # Centres at fractions of the level's own cells: the last may reach over the input's edge.
            spans = [side / -(-side // stride) for side in (size[1], size[0])]
            centres = (cells + 0.5) * np.array(spans, np.float32)
            sizes = np.tile(np.array(anchors, np.float32), (len(cells) // len(anchors), 1))
            parts.append(np.concatenate([centres, sizes], axis=1))
        return np.asarray(np.concatenate(parts), np.float32)

    def _generated(self, size: tuple[int, int]) -> tuple[tuple[tuple[float, float], ...], ...]:
        count, side = len(self.strides), min(size)
        step = (self.max_scale - self.min_scale) / max(1, count - 1)
        scales = [self.min_scale + step * level for level in range(count)] + [1.0]
        levels = []
        for level, scale in enumerate(scales[:-1]):
            pairs = [(scale, ratio) for ratio in self.ratios] + [(math.sqrt(scale * scales[level + 1]), 1.0)]
            if level == 0 and self.reduced:
                pairs = [(0.1, 1.0), (scale, 2.0), (scale, 0.5)]
            levels.append(tuple((s * math.sqrt(r) * side, s / math.sqrt(r) * side) for s, r in pairs))
        return tuple(levels)
