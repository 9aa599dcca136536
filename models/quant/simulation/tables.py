"""The functions that integer kernels take from tables: softmax, tanh, the logistic function and others in INT16.

INT8 kernels read an entry for each of 256 inputs, which is the function itself, rounded. INT16 kernels interpolate
between a few hundred entries; where they end is part of the arithmetic (the exponents of softmax end at -10). The
gradient is that of the function. Sources: TFLite's ``kernels/internal/common.h`` (``LUTPopulate``, ``LUTLookup``),
``reference/softmax.h``, ``reference/integer_ops/{tanh,logistic}.h`` and ``kernels/elementwise.cc``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from models.quant.simulation.rounding import Grid, whole

__all__ = ["interpolated", "logistic_16", "rsqrt_8", "rsqrt_16", "softmax_8", "softmax_16", "tanh_16"]

Function = Callable[[Any], Any]

_ENTRIES = 512
_SPAN = 1 << 7  # inputs between two entries of a table over all of INT16
_EXPONENTS = -10.0
_ONE_16 = 32767.0


def _forward(value: tf.Tensor, smooth: tf.Tensor) -> tf.Tensor:
    """Return ``value`` with the gradient of ``smooth``."""
    return smooth + tf.stop_gradient(value - smooth)


def interpolated(function: Function, steps: tf.Tensor, source: Grid, target: Grid) -> tf.Tensor:
    """Return a function of INT16 values as its 513-entry table gives it, in steps of ``target``.

    Args:
        function: of real values, as TensorFlow computes it.
        steps: of ``source``, whole.
        source: grid of the input.
        target: grid of the output.
    """
    entries = _table(function, source.scale, target.scale)
    return _forward(_looked_up(steps, entries), function(steps * source.scale) / target.scale)


def _table(function: Function, source: Any, target: Any) -> tf.Tensor:
    """Return the entries: values at every 128th input, moved so that the error between two of them is least.

    The kernel spreads its 512 steps over 65,535 inputs, and counts 65,536 outputs.
    """
    width, inverse = source * (65535.0 / _ENTRIES), 65536.0 / 65535.0 / target
    at = function(-32768.0 * source + width * tf.range(_ENTRIES + 1.0)) * inverse
    between = function(-32768.0 * source + width * (tf.range(float(_ENTRIES)) + 0.5)) * inverse
    sampled = whole(at)
    middle = whole((at[1:] + sampled[:-1]) / 2)
    moved = sampled[:-1] - whole((middle - whole(between)) / 2)
    return tf.stop_gradient(tf.clip_by_value(tf.concat([moved, sampled[-1:]], 0), -_ONE_16 - 1, _ONE_16))


def _looked_up(value: tf.Tensor, entries: tf.Tensor) -> tf.Tensor:
    """Return table values at INT16 ``value``: entry and slope, rounded up at ties."""
    index = tf.floor(value / _SPAN)
    rest = value - index * _SPAN
    index = tf.cast(index, tf.int32) + _ENTRIES // 2
    base = tf.gather(entries, index)
    slope = tf.gather(entries, index + 1) - base
    return base + tf.floor((slope * rest + _SPAN / 2) / _SPAN)


@cache
def _exponents() -> NDArray[np.float32]:
    """Return the table of exp over [-10, 0] in steps of 1/32768."""
    return _made(np.exp, _EXPONENTS, 0.0)


@cache
def _reciprocals() -> NDArray[np.float32]:
    """Return the table of 1 / (1 + x) over [0, 1] in steps of 1/32768."""
    return _made(lambda x: 1.0 / (1.0 + x), 0.0, 1.0)


def _made(function: Callable[[Any], Any], low: float, high: float) -> NDArray[np.float32]:
    """Return 513 entries of a function of values below one, in steps of 1/32768."""

    def rounded(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.sign(values) * np.floor(np.abs(values) + 0.5))

    step = (high - low) / _ENTRIES
    at = function(low + step * np.arange(_ENTRIES + 1)) * 32768.0
    between = function(low + step * (np.arange(_ENTRIES) + 0.5)) * 32768.0
    sampled = rounded(at)
    middle = rounded((at[1:] + sampled[:-1]) / 2)
    moved = sampled[:-1] - rounded((middle - rounded(between)) / 2)
    return np.asarray(np.clip(np.append(moved, sampled[-1]), -_ONE_16 - 1, _ONE_16), np.float32)


def softmax_16(steps: tf.Tensor, source: Grid, beta: float) -> tf.Tensor:
    """Return a softmax over the last axis as the INT16 kernel computes it, in steps of 1/32768."""
    logits = steps - tf.reduce_max(steps, -1, keepdims=True)
    offset = whole(logits * (source.scale * beta * 65535.0 / -_EXPONENTS)) + _ONE_16
    entries = tf.constant(_exponents())
    powers = _looked_up(tf.clip_by_value(offset, -_ONE_16 - 1, _ONE_16), entries)
    total = tf.reduce_sum(powers, -1, keepdims=True)
    # The sum is brought into [2^30, 2^31), and its fifteen leading bits are looked up.
    exponent = tf.floor(tf.math.log(total + 0.5) / np.log(2.0))
    leading = tf.floor(total * tf.pow(2.0, 16.0 - exponent) + 0.5) - (1 << 15) - (1 << 16)
    reciprocal = _looked_up(tf.clip_by_value(leading, -_ONE_16 - 1, _ONE_16), tf.constant(_reciprocals()))
    found = tf.floor(powers * reciprocal * tf.pow(2.0, -exponent) + 0.5)
    smooth = tf.nn.softmax(steps * (source.scale * beta)) * 32768.0
    return _forward(tf.clip_by_value(found, 0.0, _ONE_16), smooth)


def softmax_8(steps: tf.Tensor, source: Grid, beta: float) -> tf.Tensor:
    """Return a softmax over the last axis as the INT8 kernel computes it, in steps of 1/256, not yet rounded."""
    return tf.nn.softmax(steps * (source.scale * beta)) * 256.0


# Entries of the kernels' table of the logistic function that are one more than rounding gives, as read off LiteRT.
_ONE_MORE = (
    4, 8, 12, 14, 15, 16, 17, 19, 20, 21, 22, 25, 27, 28, 29, 30, 31, 33, 34, 35, 37, 39, 40, 41, 43, 44, 45, 46,
    49, 50, 54, 62, 63, 64, 66, 82, 86, 93, 100, 103, 112, 116, 135, 255,
)  # fmt: skip


@cache
def _logistic_entries() -> NDArray[np.float32]:
    """Return the logistic function at multiples of 1/24 in steps of 1/65536, as the kernels' table has it."""
    entries = np.round(65536 / (1 + np.exp(-np.arange(257) / 24)))
    entries[list(_ONE_MORE)] += 1
    return np.asarray(np.minimum(entries, 65535), np.float32)


def _logistic(steps: tf.Tensor, source: Grid, per_entry: int) -> tf.Tensor:
    """Return the logistic function of the size of INT16 values between the entries of its table, in steps of 1/65536.

    Args:
        steps: of ``source``, whole.
        source: grid of the input.
        per_entry: how many of the kernel's units of 1/12288 lie between two entries: 512, or 256 for twice the input.
    """
    factor = tf.cast(source.scale * 12288.0, tf.float32)
    power = tf.pow(2.0, tf.floor(tf.math.log(factor / 32767.0) / np.log(2.0)) + 1.0)
    held = tf.floor(factor / power) * power  # fifteen bits, cut off
    units = tf.abs(tf.floor(steps * held + 0.5))
    index = tf.floor(units / per_entry)
    entry = tf.cast(tf.minimum(index, 255.0), tf.int32)
    entries = tf.constant(_logistic_entries())
    low = tf.gather(entries, entry)
    between = low + (units / per_entry - index) * (tf.gather(entries, entry + 1) - low)
    return tf.where(index >= 255, 65535.0 if per_entry == 256 else 65534.0, between)


def logistic_16(steps: tf.Tensor, source: Grid) -> tf.Tensor:
    """Return the logistic function as the INT16 kernel computes it, in steps of 1/32768, not yet rounded."""
    half = _logistic(steps, source, 512) / 2
    return _forward(tf.where(steps >= 0, half, 32768.0 - half), tf.sigmoid(steps * source.scale) * 32768.0)


def tanh_16(steps: tf.Tensor, source: Grid) -> tf.Tensor:
    """Return tanh as the INT16 kernel computes it, in steps of 1/32768, not yet rounded."""
    found = tf.where(steps >= 0, 1.0, -1.0) * (_logistic(steps, source, 256) - 32768.0)
    return _forward(found, tf.tanh(steps * source.scale) * 32768.0)


def rsqrt_8(steps: tf.Tensor, source: Grid, target: Grid) -> tf.Tensor:
    """Return one over the square root in steps of ``target``, not yet rounded; of nothing, the highest there is.

    The kernel keeps 20 bits of one over the square root of the integer.
    """
    smooth = tf.math.rsqrt(tf.maximum(steps, 1.0))
    kept = _forward(tf.floor(smooth * (1 << 20) + 0.5) / (1 << 20), smooth)
    scaled = kept / (tf.sqrt(tf.cast(source.scale, tf.float32)) * target.scale)
    return tf.where(steps > 0, scaled, tf.cast(target.highest, tf.float32))


def rsqrt_16(steps: tf.Tensor, source: Grid, target: Grid) -> tf.Tensor:
    """Return one over the square root from its table, in steps of ``target``; of nothing, the highest there is."""
    highest = target.scale * _ONE_16

    def function(x: tf.Tensor) -> tf.Tensor:
        return tf.where(x > 0, tf.math.rsqrt(tf.maximum(x, 1e-30)), highest)

    return interpolated(function, steps, source, target)
