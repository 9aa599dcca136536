"""The integer grids that kernels compute on: steps, zero points, and what keeps their ratios in range.

Owns the arithmetic alone, for whoever rounds as the integer graph does. A real value x stands on a grid as
``q = round(x / scale) + zero_point``, clipped to ``[lowest, highest]``.

A layer ``y = sum w x + b`` holds its bias in steps of ``s_x s_w`` and turns its sum into steps of y by the ratio
``s_x s_w / s_y``, a 31-bit number and a shift. A channel of tiny weights beside a real bias breaks both: its own scale
would put the bias outside INT32, and the ratio below what a shift can hold, which kernels take for zero. Both are
avoided by a larger scale, which costs nothing where weights are that small. The limit of 2^30 is that of TensorFlow's
converter (``AdjustWeightsForBiasScale`` in ``quantization_utils.cc``); it leaves room for the sum beside the bias.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.quant.plan import Precision

__all__ = [
    "BIAS_LIMIT",
    "LARGEST_RATIO",
    "SMALLEST_RATIO",
    "SMALLEST_SCALE",
    "WEIGHT_STEPS",
    "Grid",
    "activation_grid",
    "bias_floor",
    "on_grid",
    "power_of_two",
    "ratio_floor",
    "weight_bounds",
    "weights_on_grid",
]

WEIGHT_STEPS = 127
"""Weights stand on -127 ... 127, symmetric, with a scale for each output channel."""
BIAS_LIMIT = 2.0**30
"""Largest bias in steps that is written; INT32 ends at 2^31, and the sum needs its part."""
SMALLEST_RATIO = 2.0**-31
"""Below this, kernels take the ratio of a layer's sum to its output for zero."""
LARGEST_RATIO = 2.0**7
"""Above this, 16-bit kernels shift values out of their accumulator, and XNNPACK (2^8) refuses the graph."""
SMALLEST_SCALE = float(np.finfo(np.float32).tiny)
"""Smallest normal 32-bit float: below, a scale loses bits, and processors that flush denormals read zero."""


@dataclass(frozen=True, slots=True)
class Grid:
    """The grid of one activation.

    Attributes:
        scale: real value of one step.
        zero_point: the integer that stands for 0.
        lowest: smallest integer.
        highest: largest integer.
    """

    scale: float
    zero_point: int
    lowest: int
    highest: int


def activation_grid(low: float, high: float, precision: Precision) -> Grid:
    """Return the grid of an activation between ``low`` <= 0 and ``high`` >= 0, as the quantizer writes it.

    Args:
        low: lower end, real units.
        high: upper end, real units; above ``low``.
        precision: INT8 (256 integers, any zero point) or INT16 (-32767 ... 32767, zero at 0).
    """
    if precision is Precision.INT16:
        return Grid(max(abs(low), abs(high)) / 32767, 0, -32767, 32767)
    scale = (high - low) / 255
    return Grid(scale, int(np.rint(-128 - low / scale)), -128, 127)


def on_grid(values: NDArray[Any], grid: Grid) -> NDArray[np.float32]:
    """Return real ``values`` rounded (half to even) and clipped to ``grid``, as real values float32."""
    steps = np.clip(np.rint(values / grid.scale) + grid.zero_point, grid.lowest, grid.highest)
    return np.asarray((steps - grid.zero_point) * grid.scale, np.float32)


def weight_bounds(kernel: NDArray[Any], channel_axis: int) -> NDArray[np.float64]:
    """Return the largest magnitude of each output channel, with the kernel's rank (other axes 1)."""
    axes = tuple(axis for axis in range(kernel.ndim) if axis != channel_axis % kernel.ndim)
    return np.abs(kernel.astype(np.float64)).max(axes, keepdims=True)


def weights_on_grid(kernel: NDArray[Any], bounds: NDArray[Any]) -> NDArray[np.float64]:
    """Return a kernel rounded to the grid whose channels reach ``bounds``; a bound of 0 leaves zeros."""
    scale = np.maximum(bounds, SMALLEST_SCALE) / WEIGHT_STEPS
    return np.asarray(np.rint(kernel / scale) * scale, np.float64)


def bias_floor(bias: NDArray[Any], input_scale: float) -> NDArray[np.float64]:
    """Return the smallest weight scale of each channel at which its bias stays within `BIAS_LIMIT` steps."""
    return np.abs(bias.astype(np.float64)) / (input_scale * BIAS_LIMIT)


def ratio_floor(input_scale: float, output_scale: float) -> float:
    """Return the smallest weight scale at which the ratio of the sum to the output stays above `SMALLEST_RATIO`."""
    return 2 * SMALLEST_RATIO * output_scale / input_scale


def power_of_two(scale: float) -> bool:
    """Tell whether 16-bit kernels of ADD and SUB take a scale for a power of two (``CheckedLog2`` of TFLite)."""
    exponent = np.log2(scale)
    return bool(abs(exponent - np.rint(exponent)) < 1e-3)
