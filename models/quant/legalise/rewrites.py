"""What stands for each operation that lacks an integer kernel, INT8 or INT16, or that the quantizer cannot write.

Each function writes operations at its place and returns whether it could; what it cannot write stays as it was. All
are exact in real numbers; L2_NORMALIZATION parts from the kernel only where a vector is shorter than 1e-6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from models.quant.legalise.editor import RELU, Place

__all__ = ["REWRITES", "Rewrite"]

Rewrite = Callable[[Place], bool]

_RELU6 = 3
_LARGEST_PAD = 1e3


def _negated(place: Place) -> bool:
    """Return -x as a product."""
    place.write("MUL", [place.inputs[0], place.value(np.float32(-1))], place.outputs[0])
    return True


def _bent(place: Place, alpha: Any) -> bool:
    """Return x above zero and alpha x below, alpha at most 1: alpha x + relu((1 - alpha) x)."""
    alpha = np.asarray(alpha, np.float32)
    if (alpha > 1).any():
        return False
    upper = place.write("MUL", [place.inputs[0], place.value(1 - alpha)], fusedActivationFunction=RELU)
    lower = place.write("MUL", [place.inputs[0], place.value(alpha)])
    place.write("ADD", [lower, upper], place.outputs[0])
    return True


def _absolute(place: Place) -> bool:
    return _bent(place, -1.0)


def _leaky(place: Place) -> bool:
    return _bent(place, place.options.alpha)


def _prelu(place: Place) -> bool:
    alpha = place.editor.constant(place.inputs[1])
    return alpha is not None and _bent(place, alpha)


def _hard_swish(place: Place) -> bool:
    """Return x relu6(x + 3) / 6."""
    x = place.inputs[0]
    gate = place.write("ADD", [x, place.value(np.float32(3))], fusedActivationFunction=_RELU6)
    part = place.write("MUL", [gate, place.value(np.float32(1 / 6))])
    place.write("MUL", [x, part], place.outputs[0])
    return True


def _squared_difference(place: Place) -> bool:
    difference = place.write("SUB", place.inputs[:2])
    place.write("MUL", [difference, difference], place.outputs[0])
    return True


def _square(place: Place) -> bool:
    place.write("MUL", [place.inputs[0], place.inputs[0]], place.outputs[0])
    return True


def _power(place: Place) -> bool:
    """Return a power of 2 as a product, and one of a half as a root."""
    exponent = place.editor.constant(place.inputs[1])
    if exponent is None or exponent.size != 1 or float(exponent.ravel()[0]) not in (0.5, 2.0):
        return False
    if float(exponent.ravel()[0]) == 2:
        return _square(place)
    place.write("SQRT", place.inputs[:1], place.outputs[0])
    return True


def _mean(place: Place, source: int, axes: list[int], output: int | None = None) -> int:
    shape = list(place.shape(source))
    for axis in axes:
        shape[axis] = 1
    output = place.new(shape) if output is None else output
    return place.write("MEAN", [source, place.value(np.asarray(axes, np.int32))], output, keepDims=True)


def _l2_normalization(place: Place) -> bool:
    """Return x over the root of its mean square, over the root of their number."""
    x = place.inputs[0]
    count = place.shape(x)[-1]
    square = place.write("MUL", [x, x])
    inverse = place.write("RSQRT", [_mean(place, square, [len(place.shape(x)) - 1])])
    scaled = place.write("MUL", [inverse, place.value(np.float32(count**-0.5))])
    place.write("MUL", [x, scaled], place.outputs[0])
    return True


def _sum(place: Place) -> bool:
    """Return a sum as a mean times the number of values: kernels of SUM are wrong in both runtimes."""
    axes = place.editor.constant(place.inputs[1])
    if axes is None:
        return False
    shape, out = place.shape(place.inputs[0]), place.outputs[0]
    mean = place.new(place.shape(out))
    place.write("MEAN", place.inputs, mean, keepDims=bool(place.options.keepDims))
    count = np.prod([shape[int(axis)] for axis in axes.ravel()])
    place.write("MUL", [mean, place.value(np.float32(count))], out)
    return True


def _cut(place: Place, source: int, axis: int, first: int, size: int, output: int) -> None:
    begin, sizes = [0] * len(place.shape(source)), list(place.shape(source))
    begin[axis], sizes[axis] = first, size
    constants = [place.value(np.asarray(part, np.int32)) for part in (begin, sizes)]
    place.write("SLICE", [source, *constants], output)


def _split(place: Place) -> bool:
    """Return the parts one by one; SPLIT has the axis first, SPLIT_V the sizes second and the axis last."""
    whole_first = len(place.inputs) == 3
    source, where = (place.inputs[0], place.inputs[2]) if whole_first else (place.inputs[1], place.inputs[0])
    axis = place.editor.constant(where)
    if axis is None or not place.editor.is_float(source):
        return False
    along, first = int(axis.ravel()[0]) % len(place.shape(source)), 0
    for output in place.outputs:
        size = place.shape(output)[along]
        _cut(place, source, along, first, size, output)
        first += size
    return True


def _unpack(place: Place) -> bool:
    source = place.inputs[0]
    if not place.editor.is_float(source):
        return False
    shape = list(place.shape(source))
    axis = int(place.options.axis) % len(shape)
    shape[axis] = 1
    for number, output in enumerate(place.outputs):
        part = place.new(shape)
        _cut(place, source, axis, number, 1, part)
        place.reshape(part, place.shape(output), output)
    return True


def _pack(place: Place) -> bool:
    if not all(place.editor.is_float(index) for index in place.inputs):
        return False
    shape = list(place.shape(place.outputs[0]))
    axis = int(place.options.axis) % len(shape)
    shape[axis] = 1
    parts = [place.reshape(index, shape) for index in place.inputs]
    place.write("CONCATENATION", parts, place.outputs[0], axis=axis)
    return True


def _reshaped(place: Place) -> bool:
    """EXPAND_DIMS and SQUEEZE, whose shapes are known."""
    if not place.editor.is_float(place.inputs[0]):
        return False
    place.reshape(place.inputs[0], place.shape(place.outputs[0]), place.outputs[0])
    return True


def _pad_with(place: Place) -> bool:
    """Return a padding with another value than zero: moved by it, padded, and moved back."""
    value = place.editor.constant(place.inputs[2])
    if value is None or value.size != 1 or abs(float(value.ravel()[0])) > _LARGEST_PAD:
        return False
    number = np.float32(value.ravel()[0])
    if number == 0:
        place.write("PAD", place.inputs[:2], place.outputs[0])
        return True
    moved = place.write("SUB", [place.inputs[0], place.value(number)])
    padded = place.new(place.shape(place.outputs[0]))
    place.write("PAD", [moved, place.inputs[1]], padded)
    place.write("ADD", [padded, place.value(number)], place.outputs[0])
    return True


def _maximum(place: Place) -> bool:
    """Return a + relu(b - a)."""
    first, second = place.inputs
    more = place.write("SUB", [second, first], fusedActivationFunction=RELU)
    place.write("ADD", [first, more], place.outputs[0])
    return place.editor.is_float(first)


def _minimum(place: Place) -> bool:
    """Return a - relu(a - b)."""
    first, second = place.inputs
    more = place.write("SUB", [first, second], fusedActivationFunction=RELU)
    place.write("SUB", [first, more], place.outputs[0])
    return place.editor.is_float(first)


def _depth_to_space(place: Place) -> bool:
    """Exchange columns and the rows of each block, between two reshapes: four axes are enough."""
    size = int(place.options.blockSize)
    rows, height, width, depth = place.shape(place.inputs[0])
    return _exchange(place, (rows * height, width, size, depth // size))


def _space_to_depth(place: Place) -> bool:
    size = int(place.options.blockSize)
    rows, height, width, depth = place.shape(place.inputs[0])
    return _exchange(place, (rows * height // size, size, width // size, size * depth))


def _exchange(place: Place, shape: tuple[int, int, int, int]) -> bool:
    first, second, third, last = shape
    parts = place.reshape(place.inputs[0], shape)
    turned = place.new((first, third, second, last))
    place.write("TRANSPOSE", [parts, place.value(np.asarray([0, 2, 1, 3], np.int32))], turned)
    place.reshape(turned, place.shape(place.outputs[0]), place.outputs[0])
    return True


def _clipped(place: Place, number: int) -> bool:
    place.write("MUL", [place.inputs[0], place.value(np.float32(1))], place.outputs[0], fusedActivationFunction=number)
    return True


REWRITES: Mapping[str, Rewrite] = {
    "ABS": _absolute,
    "DEPTH_TO_SPACE": _depth_to_space,
    "EXPAND_DIMS": _reshaped,
    "HARD_SWISH": _hard_swish,
    "L2_NORMALIZATION": _l2_normalization,
    "LEAKY_RELU": _leaky,
    "MAXIMUM": _maximum,
    "MINIMUM": _minimum,
    "NEG": _negated,
    "PACK": _pack,
    "PADV2": _pad_with,
    "POW": _power,
    "PRELU": _prelu,
    "RELU6": lambda place: _clipped(place, _RELU6),
    "RELU_N1_TO_1": lambda place: _clipped(place, 2),
    "SPACE_TO_DEPTH": _space_to_depth,
    "SPLIT": _split,
    "SPLIT_V": _split,
    "SQUARE": _square,
    "SQUARED_DIFFERENCE": _squared_difference,
    "SQUEEZE": _reshaped,
    "SUM": _sum,
    "UNPACK": _unpack,
}
"""By the operation's TFLite name."""
