"""Augmentation of a batch inside the training step: mirror, zoom and shift, exposure, loss of a band.

Pure functions of a batch and the random numbers drawn for it, so that a resumed run repeats the same pictures on any
Keras backend.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from keras import ops

from models.heads import RANGE_LOG2_SCALE
from models.preprocess import MISSING_VALUE

__all__ = ["DRAWS", "LEAST_VISIBLE_SHARE", "Augmentation", "TrainingBatch", "augment", "to_unit_batch"]

DRAWS = 11
"""Random numbers that a capture's augmentation takes."""

LEAST_VISIBLE_SHARE = 0.35
"""An object of which the crop keeps less is ignored: nobody could box it rightly."""


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How much to vary a batch; zeros vary nothing.

    Attributes:
        flip: probability of a horizontal mirror.
        zoom: largest relative zoom in or out, e.g. 0.3 for factors 0.77 to 1.3.
        shift: largest shift, in shares of the frame.
        exposure: largest relative change of contrast, and half of it in brightness, per band.
        noise: largest standard deviation of added noise, in shares of full scale.
        band_loss: probability that one of the two bands is missing.
    """

    flip: float = 0.5
    zoom: float = 0.25
    shift: float = 0.1
    exposure: float = 0.3
    noise: float = 0.02
    band_loss: float = 0.05


class TrainingBatch(NamedTuple):
    """One batch, as tensors: frames float32 in [0, 1], truth as in `models.training.data.TrainingArrays`."""

    eo: Any
    lwir: Any
    boxes: Any
    classes: Any
    kinematics: Any
    kinematics_known: Any
    state: Any


def to_unit_batch(batch: TrainingBatch) -> TrainingBatch:
    """Map the frames from uint8 to float32 in [0, 1]; nothing else changes."""
    return batch._replace(
        eo=ops.cast(batch.eo, "float32") * (1.0 / 255.0), lwir=ops.cast(batch.lwir, "float32") * (1.0 / 255.0)
    )


def augment(batch: TrainingBatch, policy: Augmentation, draws: Any, noise: Any = None) -> TrainingBatch:
    """Vary a batch.

    Args:
        batch: frames float32 [B, H, W, c] in [0, 1] and their truth.
        policy: how much.
        draws: float32 [B, DRAWS], uniform in [0, 1); equal numbers give equal batches.
        noise: float32 [B, H, W, 4], standard normal; None adds none.
    """
    batch = _move(batch, policy, draws)
    eo = _expose(batch.eo, policy, draws[:, 4:7], None if noise is None else noise[..., :3])
    lwir = _expose(batch.lwir, policy, draws[:, 7:10], None if noise is None else noise[..., 3:])
    # One draw for both bands, so that at most one of them is lost.
    draw = draws[:, 10][:, None, None, None]
    missing = MISSING_VALUE / 255.0
    eo = ops.where(draw < policy.band_loss / 2, missing, eo)
    lwir = ops.where(draw > 1 - policy.band_loss / 2, missing, lwir)
    return batch._replace(eo=eo, lwir=lwir)


def _move(batch: TrainingBatch, policy: Augmentation, draws: Any) -> TrainingBatch:
    """Mirror, zoom and shift frames and truth by one affine map ``x' = a x + b`` for each capture."""
    height, width = batch.eo.shape[1], batch.eo.shape[2]
    mirror = ops.where(draws[:, 0] < policy.flip, -1.0, 1.0)
    scale = ops.exp((draws[:, 1] * 2 - 1) * math.log1p(policy.zoom))
    size = ops.convert_to_tensor([width, height], dtype="float32")
    centre = size / 2 + (draws[:, 2:4] * 2 - 1) * policy.shift * size
    a = ops.stack([scale * mirror, scale], axis=1)
    b = centre - a * size / 2
    boxes, state = _move_boxes(batch.boxes, batch.state, a, b, size)
    frames = ops.concatenate([batch.eo, batch.lwir], axis=-1)
    if policy.zoom or policy.shift:
        moved = _warp(frames, a, b)
    else:  # resampling costs an eighth of a training step
        moved = ops.where(mirror[:, None, None, None] < 0, ops.flip(frames, 2), frames)
    # What grows nearer looks like what is nearer: zooming by s divides the apparent range by s.
    nearer = ops.log(scale)[:, None] / (math.log(2.0) * RANGE_LOG2_SCALE)
    kinematics = ops.stack([batch.kinematics[..., 0] - nearer, batch.kinematics[..., 1]], axis=-1)
    return batch._replace(eo=moved[..., :3], lwir=moved[..., 3:], boxes=boxes, state=state, kinematics=kinematics)


def _move_boxes(boxes: Any, state: Any, a: Any, b: Any, size: Any) -> tuple[Any, Any]:
    first = boxes[..., :2] * a[:, None] + b[:, None]
    second = boxes[..., 2:] * a[:, None] + b[:, None]
    low, high = ops.minimum(first, second), ops.maximum(first, second)
    inside_low = ops.minimum(ops.maximum(low, 0.0), size)
    inside_high = ops.minimum(ops.maximum(high, 0.0), size)
    visible = ops.prod(inside_high - inside_low, axis=-1) / (ops.prod(high - low, axis=-1) + 1e-6)
    cut = ops.logical_and(state == 1, visible < LEAST_VISIBLE_SHARE)
    state = ops.where(visible <= 0, 0, ops.where(cut, -1, state))
    return ops.concatenate([inside_low, inside_high], axis=-1), state


def _warp(frames: Any, a: Any, b: Any) -> Any:
    """Resample so that pixel x comes to a x + b (pixel centres at +0.5); outside, the frame is mirrored."""
    zero = ops.zeros_like(a[:, 0])
    # The kernel maps output to input, in pixel indices.
    inverse = 1.0 / a
    offset = (0.5 - b) * inverse - 0.5
    transforms = ops.stack([inverse[:, 0], zero, offset[:, 0], zero, inverse[:, 1], offset[:, 1], zero, zero], axis=1)
    return ops.image.affine_transform(frames, transforms, interpolation="bilinear", fill_mode="reflect")


def _expose(frames: Any, policy: Augmentation, draws: Any, noise: Any) -> Any:
    """Vary contrast about the frame's mean, brightness and noise, and clip as a sensor does."""
    draws = draws[:, None, None, :]
    contrast = ops.exp((draws[..., 0:1] * 2 - 1) * math.log1p(policy.exposure))
    brightness = (draws[..., 1:2] * 2 - 1) * policy.exposure / 2
    mean = ops.mean(frames, axis=(1, 2, 3), keepdims=True)
    frames = (frames - mean) * contrast + mean + brightness
    if noise is not None:
        frames = frames + noise * draws[..., 2:3] * policy.noise
    return ops.clip(frames, 0.0, 1.0)
