"""Convolution units in two forms: for training with batch normalization, and folded, one layer per quantized tensor.

In both forms the layer called ``name`` gives the tensor called ``name``. In training form a unit is made of
``name_conv``, and the last of ``name_bn`` and ``name`` gives the tensor; `models.networks.fold` relies on that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras import layers

__all__ = ["CONV_SUFFIX", "NORM_SUFFIX", "Blocks"]

CONV_SUFFIX = "_conv"
NORM_SUFFIX = "_bn"
_MOMENTUM = 0.95  # runs last some hundred steps: a longer memory would hold statistics of untrained weights
_EPSILON = 1e-3


@dataclass(frozen=True, slots=True)
class Blocks:
    """Makes units in one of the two forms.

    Attributes:
        folded: without batch normalization; the kernel and bias hold it.
    """

    folded: bool

    def unit(self, x: Any, filters: int, name: str, *, kernel: int = 3, stride: int = 1, relu: bool = True) -> Any:
        """Convolve, normalize and, if asked, clip to ReLU6 (hard-swish has no INT16 kernel)."""
        size: dict[str, Any] = {"strides": stride, "padding": "same"}
        if self.folded:
            return layers.Conv2D(filters, kernel, activation="relu6" if relu else None, name=name, **size)(x)
        x = layers.Conv2D(filters, kernel, use_bias=False, name=name + CONV_SUFFIX, **size)(x)
        norm = layers.BatchNormalization(
            momentum=_MOMENTUM, epsilon=_EPSILON, name=name + NORM_SUFFIX if relu else name
        )
        x = norm(x)
        return layers.ReLU(6.0, name=name)(x) if relu else x

    def linear(self, x: Any, filters: int, name: str, *, gain: float = 1.0) -> Any:
        """Apply a token-wise linear map, as 1x1 convolution (FULLY_CONNECTED of rank 3 is wrong in old kernels)."""
        from keras import initializers

        start = initializers.VarianceScaling(scale=gain, mode="fan_in")
        return layers.Conv2D(filters, 1, kernel_initializer=start, name=name)(x)

    def residual(self, x: Any, name: str) -> Any:
        """Add a 3x3 unit to its own input; the sum stays unclipped, so that it is one tensor of one operation."""
        branch = self.unit(x, x.shape[-1], f"{name}_unit")
        return layers.Add(name=name)([x, branch])
