"""Multiply-accumulates of one TFLite operation, from shapes alone.

TFLite's own analyzer counts none; these formulas count what the arithmetic needs (borders included, as if padded),
which is within a few per cent of what compilers report after they skip the padding.
"""

from __future__ import annotations

from math import prod

__all__ = ["macs"]

Shape = tuple[int, ...]


def macs(op: str, inputs: tuple[Shape, ...], output: Shape, *, transposed_left: bool = False) -> int:
    """Return the multiply-accumulates of one run of ``op``; 0 for ops without a product sum.

    Args:
        op: the operation's TFLite name, e.g. ``CONV_2D``.
        inputs: shapes of its inputs in TFLite's order (weights are OHWI, depthwise 1HWC).
        output: shape of its first output.
        transposed_left: whether BATCH_MATMUL transposes its left side (``adj_x``).
    """
    if len(inputs) < 2:
        return 0
    first, second = inputs[:2]
    if op == "CONV_2D" and len(second) == 4:
        return prod(output) * prod(second[1:])  # kernel height x width x input channels
    if op == "DEPTHWISE_CONV_2D" and len(second) == 4:
        return prod(output) * second[1] * second[2]
    if op == "FULLY_CONNECTED" and second:
        return prod(output) * second[-1]
    if op == "BATCH_MATMUL" and len(first) >= 2:
        return prod(output) * first[-2 if transposed_left else -1]
    if op == "TRANSPOSE_CONV" and len(inputs) > 2 and len(second) == 4:
        # Inputs: output shape, weights OHWI, activations: every input value meets every weight of its channel once.
        return prod(inputs[2]) * second[0] * second[1] * second[2]
    return 0
