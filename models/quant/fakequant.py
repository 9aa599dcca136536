"""Fake quantization: float layers that round to the grid that the integer graph will use.

Owns the grids and their gradients. The grids are those of the exporter: INT8 activations on any range that holds
zero, INT16 activations symmetric, weights INT8, symmetric, a scale for each output channel. Does not know which
layer gets which precision (`models.quant.qat`).
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.quant.plan import Precision

__all__ = [
    "FakeQuant",
    "FakeQuantConv2D",
    "FakeQuantDepthwiseConv2D",
    "FixedQuant",
    "TrainedRange",
    "fake_quant",
    "fake_quant_kernel",
]


def fake_quant(x: tf.Tensor, low: tf.Tensor, high: tf.Tensor, precision: Precision) -> tf.Tensor:
    """Round ``x`` to the grid of ``precision`` between ``low`` and ``high``.

    The gradient passes where x is inside and stops where it clips; the ends learn as LSQ's step does (Esser et al.
    2020): with y the rounded x, inside ``dy/dstep = (y - x) / step``, outside ``dy/dend = 1``.

    Args:
        x: float32, any shape.
        low: float32 scalar, at most 0; unused by INT16 where ``-high`` is wider.
        high: float32 scalar, at least 0, above ``low``.
        precision: INT8 or INT16; others return ``x``.
    """
    if not precision.integer:
        return x
    if precision is Precision.INT16:
        bound = tf.maximum(high, -low)
        return _on_grid(x, -bound, bound, 16, True)
    return _on_grid(x, low, high, 8, False)


def _on_grid(x: tf.Tensor, low: tf.Tensor, high: tf.Tensor, bits: int, narrow: bool) -> tf.Tensor:
    @tf.custom_gradient
    def rounded(x: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> Any:
        y = tf.quantization.fake_quant_with_min_max_vars(x, low, high, num_bits=bits, narrow_range=narrow)

        def gradient(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            inside, by_low, by_high = tf.quantization.fake_quant_with_min_max_vars_gradient(
                upstream, x, low, high, num_bits=bits, narrow_range=narrow
            )
            if bits > 8:  # a step of 1/32767 of the range has nothing to learn
                return inside, by_low, by_high
            by_step = tf.reduce_sum(inside * (y - x)) / (high - low)
            return inside, by_low - by_step, by_high + by_step

        return y, gradient

    return rounded(x, low, high)


def fake_quant_kernel(kernel: tf.Tensor, precision: Precision, *, depthwise: bool = False) -> tf.Tensor:
    """Round a convolution kernel as the exporter stores it; the gradient passes unchanged.

    Integer layers have INT8 weights, scale ``max |w| / 127`` for each output channel; FP16 layers store halves.

    Args:
        kernel: float32 [kh, kw, in, out], or [kh, kw, channels, multiplier] of a depthwise convolution.
        precision: of the layer.
        depthwise: whether the last two axes are both outputs.
    """
    if precision is Precision.FP32:
        return kernel
    if precision is Precision.FP16:
        rounded = tf.cast(tf.cast(kernel, tf.float16), tf.float32)
    else:
        largest = tf.reduce_max(tf.abs(kernel), axis=(0, 1) if depthwise else (0, 1, 2), keepdims=True)
        scale = tf.maximum(largest, 1e-12) / 127.0
        rounded = tf.round(kernel / scale) * scale
    return kernel + tf.stop_gradient(rounded - kernel)


class TrainedRange:
    """The two ends of one tensor's range: calibrated values, each stretched by a trained factor.

    The logarithm of the factor is what is trained, so that one learning rate suits ranges of any size. A plain
    object, shared by all quantizers of the tensor and of what merely moves its values.
    """

    def __init__(self, low: Any, high: Any, stretch: Any) -> None:
        self._low, self._high, self._stretch = low, high, stretch

    def ends(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Return (low, high) as float32 scalars."""
        factor = tf.exp(tf.convert_to_tensor(self._stretch))
        return tf.convert_to_tensor(self._low) * factor[0], tf.convert_to_tensor(self._high) * factor[1]

    def numbers(self) -> tuple[float, float]:
        """Return (low, high) as they stand."""
        low, high = self.ends()
        return float(low), float(high)


class FakeQuant(keras.layers.Layer):
    """Rounds its input to a grid whose range is calibrated, then trained.

    Args:
        precision: of the grid.
        ends: the calibrated (low, high); they hold zero.
        shared: a range that another quantizer owns, instead of ``ends``.
    """

    def __init__(
        self,
        precision: Precision,
        ends: tuple[float, float] = (-1.0, 1.0),
        shared: TrainedRange | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._precision = precision
        self.range = shared if shared is not None else self._own(ends)

    def _own(self, ends: tuple[float, float]) -> TrainedRange:
        low, high = (
            self.add_weight(name=name, shape=(), trainable=False, initializer=keras.initializers.Constant(end))
            for name, end in zip(("low", "high"), ends, strict=True)
        )
        # INT16 spans all that was seen: nothing to gain from clipping, so nothing to train.
        learns = self._precision is Precision.INT8
        stretch = self.add_weight(name="stretch", shape=(2,), initializer="zeros", trainable=learns)
        return TrainedRange(low, high, stretch)

    def call(self, inputs: Any) -> Any:
        """Return ``inputs`` on the grid."""
        return fake_quant(inputs, *self.range.ends(), self._precision)


class FixedQuant(keras.layers.Layer):
    """Rounds its input to a grid that integer kernels hard-code: ``step * [lowest .. highest]``.

    Args:
        step: the grid's step.
        lowest: the smallest integer.
        highest: the largest integer.
    """

    def __init__(self, step: float, lowest: int, highest: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._step, self._lowest, self._highest = step, lowest, highest

    def call(self, inputs: Any) -> Any:
        """Return ``inputs`` on the grid; the gradient passes where it does not clip."""
        low, high = np.float32(self._step * self._lowest), np.float32(self._step * self._highest)
        clipped = tf.clip_by_value(inputs, low, high)
        return clipped + tf.stop_gradient(tf.round(clipped / self._step) * self._step - clipped)


class FakeQuantConv2D(keras.layers.Conv2D):
    """A convolution whose kernel is rounded as the exporter will store it."""

    def __init__(self, *args: Any, precision: Precision, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._precision = precision

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Convolve with the rounded kernel."""
        return super().convolution_op(inputs, fake_quant_kernel(tf.convert_to_tensor(kernel), self._precision))


class FakeQuantDepthwiseConv2D(keras.layers.DepthwiseConv2D):
    """A depthwise convolution whose kernel is rounded as the exporter will store it."""

    def __init__(self, *args: Any, precision: Precision, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._precision = precision

    def call(self, inputs: Any) -> Any:
        """Convolve with the rounded kernel, add the bias and activate."""
        kernel = fake_quant_kernel(tf.convert_to_tensor(self.kernel), self._precision, depthwise=True)
        outputs = keras.ops.depthwise_conv(
            inputs, kernel, self.strides, self.padding, self.data_format, self.dilation_rate
        )
        return self.activation(outputs + self.bias)
