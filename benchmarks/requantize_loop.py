"""The sensitivity loop that a user would write today: requantize for each group, every frame through the interpreter.

It quantizes with litert-quantizer from ranges that are measured once, and runs LiteRT with its optimised kernels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph
from models.quant import quantizer
from models.quant.plan import Precision
from models.quant.scales import Scales
from models.sensitivity.groups import Group
from models.sensitivity.losses import Reference, weigher
from models.sensitivity.study import Study

__all__ = ["requantize_loop"]


def requantize_loop(study: Study, pool: str, frames: Sequence[int], groups: Sequence[Group]) -> list[float]:
    """Return each group's mean divergence, alone in INT8, as the real graphs give it."""
    graph = study.graph
    ranges = {name: (span.low, span.high) for name, span in study.ranges.complete(graph).tensors.items()}
    feeds = [study.pools[pool].feed([frame]) for frame in frames]
    plain = _run(study.fitted, graph, feeds)
    reference = Reference(plain, weigher(plain, study.spans))
    found = []
    for group in groups:
        wanted = study.assignment(Precision.FP32, {group.name: Precision.INT8})
        assignments = [
            quantizer.Assignment(tuple(graph.tensors[i].name for i in op.outputs), wanted[op.index], op.op)
            for op in graph.ops
        ]
        made = quantizer.quantize(study.fitted, assignments, Scales(ranges, {}))
        found.append(float(reference.divergence(_run(made, graph, feeds)).mean()))
    return found


def _run(model: bytes, graph: Graph, feeds: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, tf.Tensor]:
    """Return each output for all feeds, [frames, ...]."""
    runner = Interpreter(model_content=model).get_signature_runner()
    shapes = {tensor.name: tensor.shape for tensor in graph.inputs}
    found: dict[str, list[NDArray[np.float32]]] = {}
    for feed in feeds:
        for name, value in runner(**{name: feed[name].reshape(shape) for name, shape in shapes.items()}).items():
            found.setdefault(name, []).append(value.copy())
    return {name: tf.constant(np.stack(values)) for name, values in found.items()}
