"""Convolution units with batch normalization, which conversion folds into the convolution: one operation each.

The layer called ``name`` gives the tensor called ``name``: the last of ``name_conv``, ``name_bn`` and ``name``.
"""

from __future__ import annotations

from typing import Any

from keras import layers

__all__ = ["Blocks"]

_MOMENTUM = 0.95  # runs last some hundred steps: a longer memory would hold statistics of untrained weights
_EPSILON = 1e-3


class Blocks:
    """Makes units."""

    def unit(self, x: Any, filters: int, name: str, *, kernel: int = 3, stride: int = 1, relu: bool = True) -> Any:
        """Convolve, normalize and, if asked, clip to ReLU6 (hard-swish has no INT16 kernel)."""
        size: dict[str, Any] = {"strides": stride, "padding": "same"}
        x = layers.Conv2D(filters, kernel, use_bias=False, name=f"{name}_conv", **size)(x)
        return self._normed(x, name, relu)

    def depthwise(self, x: Any, name: str, *, kernel: int = 3, stride: int = 1) -> Any:
        """Convolve each channel by itself, normalize and clip to ReLU6."""
        size: dict[str, Any] = {"strides": stride, "padding": "same"}
        x = layers.DepthwiseConv2D(kernel, use_bias=False, name=f"{name}_conv", **size)(x)
        return self._normed(x, name, True)

    def separable(self, x: Any, filters: int, name: str) -> Any:
        """Convolve depthwise 3x3, then mix channels; ReLU6 after both."""
        return self.unit(self.depthwise(x, f"{name}_depthwise"), filters, name, kernel=1)

    def inverted(self, x: Any, filters: int, name: str, *, expand: int, kernel: int, stride: int) -> Any:
        """Widen by ``expand``, convolve depthwise, narrow without activation; add the input where shapes allow.

        The inverted bottleneck of MobileNetV2 (Sandler et al. 2018), as in EfficientNet-Lite: no squeeze-and-excite.
        """
        channels = x.shape[-1]
        inside = x if expand == 1 else self.unit(x, channels * expand, f"{name}_expand", kernel=1)
        inside = self.depthwise(inside, f"{name}_depthwise", kernel=kernel, stride=stride)
        if stride != 1 or filters != channels:
            return self.unit(inside, filters, name, kernel=1, relu=False)
        return layers.Add(name=name)([x, self.unit(inside, filters, f"{name}_project", kernel=1, relu=False)])

    def _normed(self, x: Any, name: str, relu: bool) -> Any:
        norm = layers.BatchNormalization(momentum=_MOMENTUM, epsilon=_EPSILON, name=f"{name}_bn" if relu else name)
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
