"""Are the numbers in a produced graph sound? Scales, zero points, biases and ratios, read back from the file.

Owns the checks of values; `models.quant.lint` compares types. A quantizer that clips a bias, or a scale that a kernel
takes for zero, gives a well-formed graph that computes something else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.quant import editing, grid
from models.quant.scales import WEIGHTED, Weighted

__all__ = ["value_problems"]

_ITEMS: dict[str, Any] = {"INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64, "UINT8": np.uint8}
_SYMMETRIC = frozenset({"INT16", "INT32", "INT64"})
# What 32-bit accumulators hold; the quantizer clips biases of INT16 layers to it as well.
_BIAS_END = 2**31 - 1
# TFLite's kernels refuse a bias whose scale is not the product of the others' to this part of an output step.
_BIAS_SCALE_TOLERANCE = 0.02


def value_problems(model: Any, biases: Mapping[str, NDArray[np.float32]] = MappingProxyType({})) -> tuple[str, ...]:
    """Return a line for each value that no kernel computes correctly with; it names the tensor and the channel.

    Args:
        model: object form of the integer graph.
        biases: constants of the float graph that it was made from, by name; what is a bias here is compared.
    """
    return (*_grid_problems(model), *_layer_problems(model, biases))


def _grid_problems(model: Any) -> Iterator[str]:
    """Check each tensor's own scales and zero points."""
    kinds = {editing.tensor_type(name): name for name in _ITEMS}
    for tensor in model.subgraphs[0].tensors:
        scales, kind = _scales(tensor), kinds.get(tensor.type)
        if scales is None or kind is None:
            continue
        name = editing.text(tensor.name)
        unusable = np.flatnonzero(~np.isfinite(scales) | (scales < grid.SMALLEST_SCALE))
        if unusable.size and not kind.startswith("INT32") and kind != "INT64":
            at = int(unusable[0])
            yield f"tensor {name!r}: the scale of channel {at} is {scales[at]:g}, which is no normal 32-bit float"
        zero_points = np.atleast_1d(np.asarray(_or_empty(tensor.quantization.zeroPoint), np.int64))
        limits = np.iinfo(_ITEMS[kind])
        outside = (zero_points != 0) if kind in _SYMMETRIC else (zero_points < limits.min) | (zero_points > limits.max)
        if outside.any():
            at = int(np.flatnonzero(outside)[0])
            yield f"tensor {name!r}: the zero point of channel {at} is {zero_points[at]}, impossible in {kind}"


def _layer_problems(model: Any, biases: Mapping[str, NDArray[np.float32]]) -> Iterator[str]:
    """Check what scales of one layer's tensors are to each other."""
    tensors, codes = model.subgraphs[0].tensors, editing.operator_names(model)
    for op in model.subgraphs[0].operators:
        place = WEIGHTED.get(codes[op.opcodeIndex])
        if place is None:
            continue
        at = [int(index) for index in op.inputs]
        reads, weights, writes = tensors[at[place.source]], tensors[at[place.weights]], tensors[int(op.outputs[0])]
        read, held, written = _scales(reads), _scales(weights), _scales(writes)
        if read is None or held is None or written is None:
            continue
        product, step = np.asarray(read * held, np.float64), float(written[0])
        yield from _ratio_problems(model, weights, product / step, place)
        if place.bias < len(at) and at[place.bias] >= 0:
            yield from _bias_problems(model, tensors[at[place.bias]], product, step, biases)


def _ratio_problems(model: Any, weights: Any, ratios: NDArray[np.float64], place: Weighted) -> Iterator[str]:
    name = editing.text(weights.name)
    outside = np.flatnonzero((ratios < grid.SMALLEST_RATIO) | (ratios >= 2 * grid.LARGEST_RATIO))
    for channel in outside[:1]:
        if model.buffers[weights.buffer].data is None:
            yield f"weights {name!r}: their ratio of {ratios[channel]:.3g} to the output is beyond what kernels compute"
            continue
        yield (
            f"weights {name!r}, channel {channel} of axis {place.channel_axis}: the ratio of the sum to the output is"
            f" {ratios[channel]:.3g}, kernels compute {grid.SMALLEST_RATIO:.2g} to {2 * grid.LARGEST_RATIO:g}"
        )


def _bias_problems(
    model: Any, bias: Any, product: NDArray[np.float64], step: float, floats: Mapping[str, NDArray[np.float32]]
) -> Iterator[str]:
    name, scales = editing.text(bias.name), _scales(bias)
    stored = model.buffers[bias.buffer].data
    kind = {editing.tensor_type(item): dtype for item, dtype in _ITEMS.items()}.get(bias.type)
    if scales is None or stored is None or kind is None:
        return
    values = np.frombuffer(bytes(stored), kind).astype(np.float64)
    off = np.abs(np.broadcast_to(scales, product.shape) - product) / step
    if (off > _BIAS_SCALE_TOLERANCE).any():
        yield f"bias {name!r}, channel {int(np.argmax(off))}: its scale is not that of input times weights"
    wanted = floats.get(name)
    reached = np.abs(values) >= _BIAS_END
    if wanted is not None and wanted.size == values.size:
        allowed = 1e-3 * np.abs(wanted) + 2 * np.broadcast_to(product, values.shape)
        reached |= np.abs(values * np.broadcast_to(product, values.shape) - wanted) > allowed
    for channel in np.flatnonzero(reached)[:1]:
        meant = "" if wanted is None else f" of {wanted[channel]:g}"
        yield (
            f"bias {name!r}, channel {channel}: its value{meant} does not fit 32 bits in steps of"
            f" {float(np.broadcast_to(product, values.shape)[channel]):.3g}; give its layer float in the plan"
        )


def _scales(tensor: Any) -> NDArray[np.float64] | None:
    """Return the scales of a tensor that is on a grid."""
    found = None if tensor.quantization is None else tensor.quantization.scale
    return None if found is None or not len(found) else np.asarray(found, np.float64)


def _or_empty(values: Any) -> Any:
    return () if values is None else values
