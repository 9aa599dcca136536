"""Bias correction: taking out of each layer's bias the mean error that quantizing the layer puts into its output.

For a layer ``y = W x + b`` the integer graph computes ``Wq xq + b``; the mean of the difference by output channel,
``sum Wq E[xq] - sum W E[x]``, is known once the means of x are, and is subtracted from b (Nagel et al., "Data-Free
Quantization Through Weight Equalization and Bias Correction", ICCV 2019, section 4.2, with measured means). Means over
the frame stand for those over each kernel position, so padding at the border is neglected.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph, GraphOp
from models.captures import CaptureSet
from models.quant import editing, grid
from models.quant.activation_tap import Probe
from models.quant.feeds import Sample, evenly, samples_of
from models.quant.fitting import fit_for_quantizing
from models.quant.plan import Precision
from models.quant.ranges import Ranges, TensorRange

__all__ = ["correct_biases"]

_CORRECTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})


@dataclass
class _Mean:
    """Means of a tensor by channel: as it is, and on its integer grid."""

    plain: NDArray[np.float64]
    rounded: NDArray[np.float64]
    samples: int = 0


def correct_biases(
    float_tflite: bytes,
    precisions: Mapping[int, Precision],
    ranges: Ranges,
    captures: CaptureSet | Sequence[Sample],
    *,
    limit: int = 64,
) -> bytes:
    """Return the float graph with corrected biases; its other constants, names and operations stay as they are.

    Args:
        float_tflite: the float graph.
        precisions: of each operation, by its index; see `models.quant.produce.precisions`.
        ranges: what activations will be quantized with.
        captures: what to measure means on; at most ``limit`` of them, evenly spread.
        limit: most samples.

    Raises:
        DataError: the samples do not fit.
    """
    data = fit_for_quantizing(float_tflite)
    graph = Graph.parse(data)
    model = editing.read_model(data)
    tensors = model.subgraphs[0].tensors
    chosen = [op for op in graph.ops if _correctable(op, graph, precisions[op.index])]
    means = _means(data, chosen, precisions, ranges, captures, limit)
    for op in chosen:
        source, weights, bias = op.inputs[:3]
        mean = means.get((source, _channels(op, graph)))
        if mean is None:
            continue
        kernel = _constant(model, tensors[weights]).reshape(tensors[weights].shape).astype(np.float64)
        if op.op == "FULLY_CONNECTED":
            kernel = kernel[:, None, None, :]
        shift = _shift(kernel, mean, depthwise=op.op == "DEPTHWISE_CONV_2D")
        corrected = _constant(model, tensors[bias]) - shift.astype(np.float32)
        tensors[bias].buffer = editing.add_constant(model, corrected.astype(np.float32))
    return editing.write_model(model)


def _correctable(op: GraphOp, graph: Graph, precision: Precision) -> bool:
    if op.op not in _CORRECTED or not precision.integer or len(op.inputs) < 3 or op.inputs[2] < 0:
        return False
    return all(graph.tensors[index].constant and graph.tensors[index].dtype == "float32" for index in op.inputs[1:3])


def _channels(op: GraphOp, graph: Graph) -> int:
    """Return how many channels an operation's input has; FULLY_CONNECTED may take several axes for one."""
    return graph.tensors[op.inputs[1] if op.op == "FULLY_CONNECTED" else op.inputs[0]].shape[-1]


def _means(
    data: bytes,
    ops: Sequence[GraphOp],
    precisions: Mapping[int, Precision],
    ranges: Ranges,
    captures: CaptureSet | Sequence[Sample],
    limit: int,
) -> dict[tuple[int, int], _Mean]:
    """Return the means of each operation's first input, by the tensor's index and its channels."""
    probe = Probe(data)
    read: dict[int, set[int]] = {}
    for op in ops:
        read.setdefault(op.inputs[0], set()).add(_channels(op, probe.graph))
    grids = {
        op.inputs[0]: (ranges.tensors.get(probe.graph.tensors[op.inputs[0]].name), precisions[op.index]) for op in ops
    }
    found: dict[tuple[int, int], _Mean] = {}
    for sample in evenly(samples_of(captures, probe.graph), limit):
        for tensor, value in probe.run(sample.feed):
            span, precision = grids.get(tensor.index, (None, Precision.FP32))
            if span is None:
                continue
            for channels in read[tensor.index]:
                plain, rounded = (
                    part.reshape(-1, channels).mean(0, dtype=np.float64)
                    for part in (value, _on_grid(value, span, precision))
                )
                seen = found.setdefault((tensor.index, channels), _Mean(np.zeros_like(plain), np.zeros_like(rounded)))
                seen.samples += 1
                seen.plain += (plain - seen.plain) / seen.samples
                seen.rounded += (rounded - seen.rounded) / seen.samples
    return found


def _on_grid(value: NDArray[np.float32], span: TensorRange, precision: Precision) -> NDArray[np.float32]:
    ends = (span.full_low, span.full_high) if precision is Precision.INT16 else (span.low, span.high)
    return grid.on_grid(value, grid.activation_grid(*ends, precision))


def _shift(kernel: NDArray[np.float64], mean: _Mean, *, depthwise: bool) -> NDArray[np.float64]:
    """Return the mean error by output channel; kernels are [out, h, w, in], or [1, h, w, out] if depthwise."""
    rounded = grid.weights_on_grid(kernel, grid.weight_bounds(kernel, 3 if depthwise else 0))
    if depthwise:
        multiplier = kernel.shape[-1] // mean.plain.size
        plain_mean, rounded_mean = (np.repeat(part, multiplier) for part in (mean.plain, mean.rounded))
        return np.asarray(rounded.sum((0, 1, 2)) * rounded_mean - kernel.sum((0, 1, 2)) * plain_mean)
    return np.asarray(rounded.sum((1, 2)) @ mean.rounded - kernel.sum((1, 2)) @ mean.plain)


def _constant(model: Any, tensor: Any) -> NDArray[np.float32]:
    return np.frombuffer(bytes(model.buffers[tensor.buffer].data), np.float32)
