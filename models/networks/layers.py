"""The few Keras layers that Keras lacks, each giving exactly one tensor that integer kernels can hold.

Knows no network; every layer here has a name in the precision plan, because a quantized tensor needs a name.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

__all__ = ["Centred", "ChannelMean", "Fixed", "Heads", "Merge", "Product", "ReciprocalRoot", "ScalarScale", "Upsample"]


@keras.saving.register_keras_serializable("ks100")
class ScalarScale(keras.layers.Layer):
    """Multiply by one learned number: the alpha of ``tanh(alpha x)`` (DyT, Zhu et al. 2025).

    One scalar, because a scalar is exact in any symmetric weight grid (alpha = 127 steps of alpha / 127).
    """

    def __init__(self, initial: float = 0.5, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.initial = initial

    def build(self, input_shape: Any) -> None:
        """Create the scalar."""
        del input_shape
        self.alpha = self.add_weight(
            name="alpha", shape=(), initializer=keras.initializers.Constant(self.initial), trainable=True
        )

    def call(self, inputs: Any) -> Any:
        """Return ``alpha * inputs``, float, same shape."""
        return inputs * self.alpha

    def get_config(self) -> dict[str, Any]:
        """Return what recreates the layer."""
        return {**super().get_config(), "initial": self.initial}


@keras.saving.register_keras_serializable("ks100")
class Fixed(keras.layers.Layer):
    """Multiply by a constant, or add one: a single operation, ``factor * x`` or ``x + offset``."""

    def __init__(self, factor: float | None = None, offset: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor
        self.offset = offset

    def call(self, inputs: Any) -> Any:
        """Return the result, shaped as the input."""
        return inputs + self.offset if self.factor is None else inputs * self.factor

    def get_config(self) -> dict[str, Any]:
        """Return what recreates the layer."""
        return {**super().get_config(), "factor": self.factor, "offset": self.offset}


@keras.saving.register_keras_serializable("ks100")
class ChannelMean(keras.layers.Layer):
    """Average a grid [B, h, w, c] over its channels: [B, h, w, 1]."""

    def call(self, inputs: Any) -> Any:
        """Return the mean of each cell."""
        return ops.mean(inputs, axis=-1, keepdims=True)


@keras.saving.register_keras_serializable("ks100")
class Centred(keras.layers.Layer):
    """Subtract [B, h, w, 1] from [B, h, w, c]."""

    def call(self, inputs: Any) -> Any:
        """Return the difference, shaped as the first."""
        grid, mean = inputs
        return grid - mean


@keras.saving.register_keras_serializable("ks100")
class ReciprocalRoot(keras.layers.Layer):
    """Return ``1 / sqrt(x)``, as one RSQRT."""

    def call(self, inputs: Any) -> Any:
        """Return the reciprocal root of each element."""
        return ops.rsqrt(inputs)


@keras.saving.register_keras_serializable("ks100")
class Heads(keras.layers.Layer):
    """Split a grid [B, h, w, heads * d] into tokens by head, [B, heads, h * w, d] or, as keys, [B, heads, d, h * w]."""

    def __init__(self, heads: int, keys: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.heads = heads
        self.keys = keys

    def call(self, inputs: Any) -> Any:
        """Return the tokens by head."""
        _, height, width, channels = inputs.shape
        tokens = ops.reshape(inputs, (-1, height * width, self.heads, channels // self.heads))
        return ops.transpose(tokens, (0, 2, 3, 1) if self.keys else (0, 2, 1, 3))

    def get_config(self) -> dict[str, Any]:
        """Return what recreates the layer."""
        return {**super().get_config(), "heads": self.heads, "keys": self.keys}


@keras.saving.register_keras_serializable("ks100")
class Merge(keras.layers.Layer):
    """Put tokens by head [B, heads, h * w, d] back on the grid [B, h, w, heads * d]."""

    def __init__(self, height: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.height = height
        self.width = width

    def call(self, inputs: Any) -> Any:
        """Return the grid."""
        _, heads, _, depth = inputs.shape
        tokens = ops.transpose(inputs, (0, 2, 1, 3))
        return ops.reshape(tokens, (-1, self.height, self.width, heads * depth))

    def get_config(self) -> dict[str, Any]:
        """Return what recreates the layer."""
        return {**super().get_config(), "height": self.height, "width": self.width}


@keras.saving.register_keras_serializable("ks100")
class Product(keras.layers.Layer):
    """Multiply two stacks of matrices, [B, heads, n, k] by [B, heads, k, m]: rank 4, as the integer kernels want."""

    def call(self, inputs: Any) -> Any:
        """Return [B, heads, n, m]."""
        left, right = inputs
        return ops.matmul(left, right)


@keras.saving.register_keras_serializable("ks100")
class Upsample(keras.layers.Layer):
    """Repeat each cell twice in both directions, as one operation (Keras's own layer becomes reshapes and TILEs)."""

    def call(self, inputs: Any) -> Any:
        """Return [B, 2 h, 2 w, c]."""
        _, height, width, _ = inputs.shape
        return ops.image.resize(inputs, (2 * height, 2 * width), interpolation="nearest")
