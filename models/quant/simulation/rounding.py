"""Grids in steps, and how integer kernels round to them; differentiable.

A quantized tensor is held as its steps: float32 whole numbers ``q - zero_point``, so that its real value is steps times
scale. What is to be rounded comes in steps of the grid that it goes to. Gradients pass where nothing is clipped, and
reach the ends of the grid where it is (the operation ``fake_quant_with_min_max_vars`` at a step of one).

Kernels requantize an integer accumulator a by a factor M below one half in two roundings: ``v = round(a m)`` with m in
[1/2, 1), then ``round(v / 2^k)``, both away from zero at ties (TFLite's ``MultiplyByQuantizedMultiplier``). That is one
rounding that goes up from ``n + 1/2 - 2^-(k + 1)`` on, and ``2^-(k + 1)`` is the largest power of two up to M.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from itertools import product
from typing import Any, cast

import numpy as np
import tensorflow as tf

from models.quant.plan import Precision

__all__ = ["Grid", "Rounding", "away", "doubly", "half_up", "power_below", "slack_of", "whole"]

# Ties of whole numbers come out of float arithmetic a little off; this is more than that and less than any true gap.
_TIES = {8: 1e-4, 16: 1 / 128}
_TIE = 1e-4
_MUCH = 1 << 18


@dataclass(frozen=True, slots=True)
class Grid:
    """A grid.

    Attributes:
        bits: 8 or 16.
        scale: real value of one step: a number, or a scalar tensor where it is trained.
        zero_point: the integer that stands for 0, likewise.
        owner: the tensor of whose trained range it is; None where nothing is trained.
    """

    bits: int
    scale: Any
    zero_point: Any = 0
    owner: int | None = None

    @property
    def lowest(self) -> Any:
        """Lowest number of steps."""
        return -(1 << (self.bits - 1)) - self.zero_point

    @property
    def highest(self) -> Any:
        """Highest number of steps."""
        return (1 << (self.bits - 1)) - 1 - self.zero_point

    @property
    def precision(self) -> Precision:
        """The precision of operations on it."""
        return Precision.INT8 if self.bits == 8 else Precision.INT16

    @classmethod
    def between(cls, low: float, high: float, precision: Precision) -> Grid:
        """Return the quantizer's grid for values between two ends, in its own 32-bit arithmetic."""
        least, most = np.float32(low), np.float32(high)
        if precision is Precision.INT16:
            bound = np.maximum(np.maximum(np.abs(least), np.abs(most)), np.float32(1e-9))
            return cls(16, float(bound / np.float32(32767)))
        least, most = np.minimum(least, np.float32(0)), np.maximum(most, np.float32(0))
        scale = np.maximum(most - least, np.float32(1e-9)) / np.float32(255)
        return cls(8, float(scale), int(np.rint(np.float32(-128) - least / scale)))

    def trained(self, low: tf.Tensor, high: tf.Tensor) -> Grid:
        """Return the grid of these bits between two trained ends; gradients reach them (LSQ, Esser et al. 2020).

        Args:
            low: float32 scalar, at most 0.
            high: float32 scalar, at least 0, above ``low``.
        """
        if self.bits == 16:
            return replace(self, scale=tf.maximum(high, -low) / 32767.0)
        scale = (high - low) / 255.0
        return replace(self, scale=scale, zero_point=whole(-128.0 - low / scale))

    def moved(self, zero_point: int) -> Grid:
        """Return the grid with another zero point."""
        return replace(self, zero_point=zero_point)


def power_below(factor: Any) -> Any:
    """Return the largest power of two up to ``factor``: a tensor where it is one."""
    if isinstance(factor, tf.Tensor | tf.Variable):
        return tf.pow(2.0, tf.floor(tf.math.log(tf.stop_gradient(factor)) / np.log(2.0)))
    exponent = np.frexp(np.maximum(np.asarray(factor, np.float64), 1e-300))[1]
    return np.ldexp(1.0, exponent - 1)


def slack_of(factor: Any) -> Any:
    """Return how far below one half two roundings by ``factor`` already go up: of the same kind and shape."""
    power = power_below(factor)
    if isinstance(power, tf.Tensor):
        return tf.where(factor < 0.5, power, tf.zeros_like(power))
    return np.where(np.asarray(factor) < 0.5, power, 0.0)


@dataclass(frozen=True)
class Rounding:
    """How steps are rounded and clipped: a function of the module and its arguments.

    Attributes:
        function: from unrounded steps and ``arguments`` to whole ones; one of a few, so that traces are shared.
        arguments: tensors.
    """

    function: Callable[..., tf.Tensor]
    arguments: tuple[tf.Tensor, ...]

    def split(self) -> tuple[Rounding, tf.Tensor | None]:
        """Return the rounding without what it adds to every value first, and that, so that a bias can take it along."""
        plain = _PLAIN.get(self.function)
        return (self, None) if plain is None else (Rounding(plain, self.arguments[:4]), self.arguments[4])

    def __call__(self, steps: tf.Tensor) -> tf.Tensor:
        """Round ``steps``."""
        # A function of TensorFlow works in place, which pays for its call where there is much to round.
        large = tf.executing_eagerly() and steps.shape.num_elements() > _MUCH
        return (_compiled(self.function) if large else self.function)(steps, *self.arguments)


def half_up(grid: Grid, lowest: Any = None, highest: Any = None) -> Rounding:
    """Return rounding at ties towards plus infinity.

    Args:
        grid: whose steps come in and go out.
        lowest: lowest steps of a fused activation.
        highest: likewise.
    """
    ends, clipped = _ends(grid, lowest, highest)
    return Rounding(_ROUNDINGS["up", grid.bits, clipped], ends)


def away(grid: Grid, lowest: Any = None, highest: Any = None) -> Rounding:
    """Return rounding at ties away from zero; float arithmetic may have put ties a little off."""
    return doubly(0.0, grid, lowest, highest)


def doubly(factor: Any, grid: Grid, lowest: Any = None, highest: Any = None, *, covered: bool = False) -> Rounding:
    """Return the two roundings of an accumulator that was multiplied by ``factor``, or by one for each channel.

    Args:
        factor: a number, or tensors.
        grid: whose steps come in and go out.
        lowest: lowest steps of a fused activation.
        highest: likewise.
        covered: whether the grid itself ends where the activation does.
    """
    slack = slack_of(factor)
    if isinstance(slack, tf.Tensor):
        slack = tf.maximum(tf.cast(slack, tf.float32), _TIES[grid.bits])
    else:
        slack = np.maximum(slack, _TIES[grid.bits]).astype(np.float32)
        slack = _constant(float(slack)) if slack.ndim == 0 else tf.constant(slack)
    ends, clipped = _ends(grid, *((None, None) if covered else (lowest, highest)))
    # Above zero alone there is no sign to look for.
    kind = "shifted" if isinstance(lowest, int | float) and lowest >= 0 else "twice"
    return Rounding(_ROUNDINGS[kind, grid.bits, clipped], (*ends, slack))


def _ends(grid: Grid, lowest: Any, highest: Any) -> tuple[tuple[tf.Tensor, ...], bool]:
    """Return the grid's ends, then those of an activation, and whether these are others."""
    low, high = grid.lowest, grid.highest
    known = all(isinstance(end, int | float) for end in (low, high, lowest, highest) if end is not None)
    inner = (
        lowest is not None and not (known and lowest <= low),
        highest is not None and not (known and highest >= high),
    )
    least = tf.maximum(_float(low), _float(lowest)) if inner[0] else _float(low)
    most = tf.minimum(_float(high), _float(highest)) if inner[1] else _float(high)
    return (_float(low), _float(high), least, most), any(inner)


def _float(value: Any) -> tf.Tensor:
    return _constant(float(value)) if isinstance(value, int | float) else tf.cast(value, tf.float32)


@lru_cache(maxsize=4096)
def _constant(value: float) -> tf.Tensor:
    with tf.init_scope():
        return tf.constant(value)


def _made(kind: str, bits: int, clipped: bool) -> Callable[..., tf.Tensor]:
    def rounded(steps: tf.Tensor, low: tf.Tensor, high: tf.Tensor, *rest: tf.Tensor) -> tf.Tensor:
        if kind == "twice":
            steps += rest[2] * tf.sign(steps)
        elif kind == "shifted":
            steps += rest[2]
        if clipped:
            steps = tf.clip_by_value(steps, rest[0], rest[1])
        return tf.quantization.fake_quant_with_min_max_vars(steps, low, high, num_bits=bits)

    return rounded


_ROUNDINGS: Mapping[tuple[str, int, bool], Callable[..., tf.Tensor]] = {
    key: _made(*key) for key in product(("up", "shifted", "twice"), (8, 16), (False, True))
}

_PLAIN = {
    _ROUNDINGS["shifted", bits, clipped]: _ROUNDINGS["up", bits, clipped]
    for bits in (8, 16)
    for clipped in (False, True)
}

_WITH_SLACK = frozenset(function for (kind, _, _), function in _ROUNDINGS.items() if kind != "up")


@cache
def _compiled(function: Callable[..., tf.Tensor]) -> Callable[..., tf.Tensor]:
    """Return a rounding as one function of TensorFlow, of any shape: it works in place where it can."""
    count = 6 if function in _WITH_SLACK else 5
    free = [tf.TensorSpec(None, tf.float32) for _ in range(count)]
    traced = tf.function(function, input_signature=free, autograph=False)
    traced._omit_frequent_tracing_warning = True  # noqa: SLF001 - a few functions on purpose, each traced once
    return cast("Callable[..., tf.Tensor]", traced)


def whole(value: tf.Tensor) -> tf.Tensor:
    """Round to whole numbers, away from zero at ties; the gradient passes."""
    rounded = tf.round(value + _TIE * tf.sign(value))
    return value + tf.stop_gradient(rounded - value)
