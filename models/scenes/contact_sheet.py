"""Contact sheets of generated or read captures, EO above LWIR, with boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from models.captures import Capture, CaptureSet
from models.preprocess import MISSING_VALUE, agc

__all__ = ["contact_sheet"]

_COLOURS = (
    (255, 64, 64), (255, 200, 0), (255, 110, 220), (64, 200, 255), (90, 255, 120), (170, 140, 255),
)  # fmt: skip
"""By class; more classes than colours start over."""
_IGNORED = (150, 150, 150)
_CAPTION_PX = 14
_GAP_PX = 6


def contact_sheet(
    capture_set: CaptureSet, path: Path, columns: int = 6, *, tile_width: int = 320, boxes: bool = True
) -> None:
    """Write a PNG of every capture of the set; select captures with ``subset`` first.

    Args:
        capture_set: captures to show.
        path: PNG to write; its folder must exist.
        columns: pairs per row.
        tile_width: width of one frame in pixels.
        boxes: whether to draw the truth.
    """
    tiles = [_tile(capture_set, index, tile_width, boxes) for index in range(len(capture_set))]
    columns = max(1, min(columns, len(tiles)))
    rows = -(-len(tiles) // columns)
    height = max((tile.height for tile in tiles), default=1) + _GAP_PX
    page = Image.new("RGB", (columns * (tile_width + _GAP_PX), rows * height), (24, 24, 28))
    for k, tile in enumerate(tiles):
        page.paste(tile, ((k % columns) * (tile_width + _GAP_PX), (k // columns) * height))
    page.save(path)


def _tile(capture_set: CaptureSet, index: int, tile_width: int, boxes: bool) -> Image.Image:
    capture = capture_set.captures[index]
    scale = tile_width / capture.width
    size = (tile_width, round(capture.height * scale))
    counts = capture_set.frames.lwir(index)
    thermal = None if counts is None else agc(np.asarray(counts))
    tile = Image.new("RGB", (tile_width, 2 * size[1] + _CAPTION_PX), (24, 24, 28))
    for row, frame in enumerate((capture_set.frames.eo(index), thermal)):
        tile.paste(_picture(frame, capture, size, scale, boxes), (0, _CAPTION_PX + row * size[1]))
    caption = " ".join(category for _, category in capture.conditions.items) or capture.id
    ImageDraw.Draw(tile).text((2, 1), caption, fill=(220, 220, 220))
    return tile


def _picture(
    frame: NDArray[np.uint8] | None, capture: Capture, size: tuple[int, int], scale: float, boxes: bool
) -> Image.Image:
    if frame is None:
        frame = np.full((capture.height, capture.width), MISSING_VALUE, np.uint8)
    image = Image.fromarray(np.ascontiguousarray(frame)).convert("RGB").resize(size, Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(image)
    for item in capture.objects if boxes else ():
        x0, y0, x1, y1 = (v * scale for v in item.box)
        colour = _IGNORED if item.ignore else _COLOURS[item.object_class % len(_COLOURS)]
        draw.rectangle((x0 - 1, y0 - 1, x1, y1), outline=colour)
    return image
