"""Preprocessing stored frames to network inputs: gain control, letterbox, and the 8-bit values of host and board.

Every step between a sensor's counts and the tensors of `models.heads` is here, so that training, calibration,
evaluation and the bench feed the same bytes. Independent of networks and of quantization parameters, apart from the
convention of the inputs (value - 128 for an INT8 graph).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.captures import Capture, CaptureSet, TruthObject

__all__ = [
    "MISSING_VALUE",
    "UNIT_RANGE",
    "Batch",
    "FrameTransform",
    "agc",
    "batch",
    "network_frames",
    "network_truth",
    "to_int8",
    "to_unit",
]

MISSING_VALUE = 128
"""Value of a missing band: zero of an INT8 graph, so it carries no signal."""

# The camera's gain limit: a scene flatter than this many counts (2.5 K at 100 counts/K) is not stretched further,
# or thermal crossover would only show amplified noise.
_MIN_SPAN_COUNTS = 250.0
_LOW_PERCENT, _HIGH_PERCENT = 0.5, 99.5


@dataclass(frozen=True, slots=True)
class FrameTransform:
    """The position of a frame in the network's input: ``x' = x * scale + offset_x``, in pixels.

    ``y`` alike, its scale ``scale * aspect``: 1 unless the frame was stretched.
    """

    scale: float
    offset_x: float
    offset_y: float
    aspect: float = 1.0

    def to_network(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """Map a box (x0, y0, x1, y1) from the frame into the network's input."""
        x0, y0, x1, y1 = box
        s, t, dx, dy = self.scale, self.scale * self.aspect, self.offset_x, self.offset_y
        return (x0 * s + dx, y0 * t + dy, x1 * s + dx, y1 * t + dy)

    def to_frame(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map boxes float32 [n, 4] from the network's input back into the frame."""
        offset = np.array([self.offset_x, self.offset_y] * 2, np.float32)
        scale = np.array([self.scale, self.scale * self.aspect] * 2, np.float32)
        return ((boxes - offset) / scale).astype(np.float32)


class Batch(NamedTuple):
    """Network inputs of some captures.

    Attributes:
        eo: uint8 [N, H, W, 3].
        lwir: uint8 [N, H, W, 1].
        transforms: one per frame.
    """

    eo: NDArray[np.uint8]
    lwir: NDArray[np.uint8]
    transforms: tuple[FrameTransform, ...]


def agc(counts: NDArray[np.uint16]) -> NDArray[np.uint8]:
    """Stretch thermal counts uint16 [H, W] to the 8-bit view uint8 [H, W] between the 0.5 and 99.5 percentiles.

    The stretch is invariant to the camera's offset and, above the gain limit, to its gain.
    """
    flat = counts.ravel()
    low_at = int(_LOW_PERCENT / 100 * (flat.size - 1))
    high_at = int(_HIGH_PERCENT / 100 * (flat.size - 1))
    ordered = np.partition(flat, (low_at, high_at))
    low, high = float(ordered[low_at]), float(ordered[high_at])
    if high - low < _MIN_SPAN_COUNTS:
        middle = (low + high) / 2
        low, high = middle - _MIN_SPAN_COUNTS / 2, middle + _MIN_SPAN_COUNTS / 2
    view = (counts.astype(np.float32) - np.float32(low)) * np.float32(255.0 / (high - low))
    stretched: NDArray[np.uint8] = np.clip(np.rint(view), 0, 255).astype(np.uint8)
    return stretched


def network_frames(
    capture_set: CaptureSet, index: int, height: int, width: int, *, stretch: bool = False, gain_control: bool = True
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], FrameTransform]:
    """Return ``(eo uint8 [height, width, 3], lwir uint8 [height, width], transform)`` of one capture.

    Frames of another size are scaled to fit, with their aspect ratio, and centred; the margin and a missing band are
    filled with `MISSING_VALUE`.

    Args:
        capture_set: the set.
        index: of the capture.
        height: of the input, pixels.
        width: of the input, pixels.
        stretch: fill the whole input instead, with another aspect ratio.
        gain_control: stretch thermal counts by `agc`; otherwise the view is their upper byte.
    """
    capture = capture_set.captures[index]
    transform = _fit(capture, height, width, stretch)
    eo, counts = capture_set.frames.eo(index), capture_set.frames.lwir(index)
    eo_view = _place(eo, transform, (height, width, 3))
    view = None if counts is None else agc(np.asarray(counts)) if gain_control else (counts >> 8).astype(np.uint8)
    lwir_view = _place(view, transform, (height, width))
    return eo_view, lwir_view, transform


def network_truth(capture: Capture, transform: FrameTransform) -> tuple[TruthObject, ...]:
    """Return the capture's objects with their boxes in pixels of the network's input."""
    return tuple(replace(item, box=transform.to_network(item.box)) for item in capture.objects)


def batch(capture_set: CaptureSet, indices: Sequence[int], height: int, width: int) -> Batch:
    """Return the network inputs of the captures at ``indices``, stacked."""
    eo = np.empty((len(indices), height, width, 3), np.uint8)
    lwir = np.empty((len(indices), height, width, 1), np.uint8)
    transforms = []
    for row, index in enumerate(indices):
        eo[row], lwir[row, :, :, 0], transform = network_frames(capture_set, int(index), height, width)
        transforms.append(transform)
    return Batch(eo, lwir, tuple(transforms))


UNIT_RANGE = (0.0, 1.0)
"""Range of `to_unit`. An INT8 input of this range equals the 8-bit frame minus 128 (scale 1/255)."""


def to_unit(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Map uint8 to float32 in [0, 1], the input of a float graph."""
    return values.astype(np.float32) * np.float32(1.0 / 255.0)


def to_int8(values: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Map uint8 to int8, value - 128, the input of an INT8 graph of scale 1/255 and zero point -128."""
    return (values ^ np.uint8(0x80)).view(np.int8)


def _fit(capture: Capture, height: int, width: int, stretch: bool) -> FrameTransform:
    if stretch:
        scale = width / capture.width
        return FrameTransform(scale, 0.0, 0.0, height / capture.height / scale)
    scale = min(width / capture.width, height / capture.height)
    size_x, size_y = max(1, round(capture.width * scale)), max(1, round(capture.height * scale))
    return FrameTransform(scale, float((width - size_x) // 2), float((height - size_y) // 2))


def _place(frame: NDArray[np.uint8] | None, transform: FrameTransform, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    if frame is not None and frame.shape == shape:
        return np.ascontiguousarray(frame)
    canvas = np.full(shape, MISSING_VALUE, np.uint8)
    if frame is None:
        return canvas
    # PIL's bilinear filter widens with the reduction factor, so small hot objects are averaged and not skipped.
    from PIL import Image

    scale_y = transform.scale * transform.aspect
    size = max(1, round(frame.shape[1] * transform.scale)), max(1, round(frame.shape[0] * scale_y))
    scaled = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BILINEAR))
    x, y = int(transform.offset_x), int(transform.offset_y)
    canvas[y : y + size[1], x : x + size[0]] = scaled
    return canvas
