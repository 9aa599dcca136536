"""Augmentation of a batch inside the training step: mirror, zoom and shift, exposure, loss of a band.

Pure functions of a batch and a seed (stateless random numbers), so that a resumed run repeats the same pictures.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import tensorflow as tf

from models.heads import RANGE_LOG2_SCALE
from models.preprocess import MISSING_VALUE

__all__ = ["Augmentation", "TrainingBatch", "augment", "to_unit_batch"]

_LEAST_VISIBLE_SHARE = 0.35
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
    """One batch in TensorFlow: frames float32 in [0, 1], truth as in `models.training.data.TrainingArrays`."""

    eo: tf.Tensor
    lwir: tf.Tensor
    boxes: tf.Tensor
    classes: tf.Tensor
    kinematics: tf.Tensor
    kinematics_known: tf.Tensor
    state: tf.Tensor


def to_unit_batch(batch: TrainingBatch) -> TrainingBatch:
    """Map the frames from uint8 to float32 in [0, 1]; nothing else changes."""
    return batch._replace(
        eo=tf.cast(batch.eo, tf.float32) * (1.0 / 255.0), lwir=tf.cast(batch.lwir, tf.float32) * (1.0 / 255.0)
    )


def augment(batch: TrainingBatch, policy: Augmentation, seed: tf.Tensor) -> TrainingBatch:
    """Vary a batch.

    Args:
        batch: frames float32 [B, H, W, c] in [0, 1] and their truth.
        policy: how much.
        seed: int32 [2]; equal seeds give equal batches.
    """
    seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 4))
    batch = _move(batch, policy, seeds[0])
    eo = _expose(batch.eo, policy, seeds[1])
    lwir = _expose(batch.lwir, policy, seeds[2])
    # One draw for both bands, so that at most one of them is lost.
    draw = tf.random.stateless_uniform((tf.shape(eo)[0], 1, 1, 1), seeds[3])
    missing = MISSING_VALUE / 255.0
    eo = tf.where(draw < policy.band_loss / 2, missing, eo)
    lwir = tf.where(draw > 1 - policy.band_loss / 2, missing, lwir)
    return batch._replace(eo=eo, lwir=lwir)


def _move(batch: TrainingBatch, policy: Augmentation, seed: tf.Tensor) -> TrainingBatch:
    """Mirror, zoom and shift frames and truth by one affine map ``x' = a x + b`` for each capture."""
    count, height, width = tf.shape(batch.eo)[0], batch.eo.shape[1], batch.eo.shape[2]
    draws = tf.random.stateless_uniform((4, count), seed)
    mirror = tf.where(draws[0] < policy.flip, -1.0, 1.0)
    scale = tf.exp((draws[1] * 2 - 1) * tf.math.log(1.0 + policy.zoom))
    size = tf.constant([width, height], tf.float32)
    centre = size / 2 + (tf.transpose(draws[2:]) * 2 - 1) * policy.shift * size
    a = tf.stack([scale * mirror, scale], axis=1)
    b = centre - a * size / 2
    boxes, state = _move_boxes(batch.boxes, batch.state, a, b, size)
    frames = tf.concat([batch.eo, batch.lwir], axis=-1)
    if policy.zoom or policy.shift:
        moved = _warp(frames, a, b)
    else:  # resampling costs an eighth of a training step
        moved = tf.where(mirror[:, None, None, None] < 0, tf.reverse(frames, [2]), frames)
    # What grows nearer looks like what is nearer: zooming by s divides the apparent range by s.
    nearer = tf.math.log(scale)[:, None] / (tf.math.log(2.0) * RANGE_LOG2_SCALE)
    kinematics = tf.stack([batch.kinematics[..., 0] - nearer, batch.kinematics[..., 1]], axis=-1)
    return batch._replace(eo=moved[..., :3], lwir=moved[..., 3:], boxes=boxes, state=state, kinematics=kinematics)


def _move_boxes(
    boxes: tf.Tensor, state: tf.Tensor, a: tf.Tensor, b: tf.Tensor, size: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    first = boxes[..., :2] * a[:, None] + b[:, None]
    second = boxes[..., 2:] * a[:, None] + b[:, None]
    low, high = tf.minimum(first, second), tf.maximum(first, second)
    inside_low, inside_high = tf.clip_by_value(low, 0.0, size), tf.clip_by_value(high, 0.0, size)
    visible = tf.reduce_prod(inside_high - inside_low, axis=-1) / (tf.reduce_prod(high - low, axis=-1) + 1e-6)
    cut = (state == 1) & (visible < _LEAST_VISIBLE_SHARE)
    state = tf.where(visible <= 0, 0, tf.where(cut, -1, state))
    return tf.concat([inside_low, inside_high], axis=-1), state


def _warp(frames: tf.Tensor, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Resample so that pixel x comes to a x + b (pixel centres at +0.5); outside, the frame is mirrored."""
    zero = tf.zeros_like(a[:, 0])
    # The kernel maps output to input, in pixel indices.
    inverse = 1.0 / a
    offset = (0.5 - b) * inverse - 0.5
    transforms = tf.stack([inverse[:, 0], zero, offset[:, 0], zero, inverse[:, 1], offset[:, 1], zero, zero], axis=1)
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=frames,
        transforms=transforms,
        output_shape=tf.shape(frames)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )


def _expose(frames: tf.Tensor, policy: Augmentation, seed: tf.Tensor) -> tf.Tensor:
    """Vary contrast about the frame's mean, brightness and noise, and clip as a sensor does."""
    first, second = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    draws = tf.random.stateless_uniform((3, tf.shape(frames)[0], 1, 1, 1), first)
    contrast = tf.exp((draws[0] * 2 - 1) * tf.math.log(1.0 + policy.exposure))
    brightness = (draws[1] * 2 - 1) * policy.exposure / 2
    mean = tf.reduce_mean(frames, axis=(1, 2, 3), keepdims=True)
    frames = (frames - mean) * contrast + mean + brightness
    if policy.noise:
        frames += tf.random.stateless_normal(tf.shape(frames), second) * draws[2] * policy.noise
    return tf.clip_by_value(frames, 0.0, 1.0)
