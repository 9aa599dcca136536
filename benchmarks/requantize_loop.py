"""The sensitivity loop that a user would write today: requantize for each group, every frame through the interpreter.

It quantizes with litert-quantizer from ranges that are measured once, and runs LiteRT with its optimised kernels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph
from models.quant import quantizer
from models.quant.fitting import fit_for_quantizing
from models.quant.plan import Precision
from models.quant.scales import Scales
from models.sensitivity.groups import Group
from models.sensitivity.losses import Reference
from models.sensitivity.study import Study
from models.sensitivity.tasks import feed_of

__all__ = ["requantize_loop"]


def requantize_loop(study: Study, pool: str, frames: Sequence[int], groups: Sequence[Group]) -> list[float]:
    """Return each group's mean divergence, alone in INT8, as the real graphs give it."""
    fitted = fit_for_quantizing(study.float_tflite)
    graph = Graph.parse(fitted)
    ranges = {name: (span.low, span.high) for name, span in study.ranges.complete(graph).tensors.items()}
    feeds = [feed_of(study.pools[pool], [frame]) for frame in frames]
    reference = Reference(_stacked(_run(study.float_tflite, feeds)))
    found = []
    for group in groups:
        inside = set(group.ops)
        assignments = [
            quantizer.Assignment(
                tuple(graph.tensors[i].name for i in op.outputs),
                Precision.INT8 if op.index in inside else Precision.FP32,
            )
            for op in graph.ops
        ]
        made = quantizer.quantize(fitted, assignments, Scales(ranges, {}))
        found.append(float(reference.divergence(_stacked(_run(made, feeds))).mean()))
    return found


def _run(model: bytes, feeds: Sequence[dict[str, NDArray[np.float32]]]) -> list[dict[str, NDArray[np.float32]]]:
    interpreter = Interpreter(model_content=model)
    runner = interpreter.get_signature_runner()
    return [{name: value.copy() for name, value in runner(**feed).items()} for feed in feeds]


def _stacked(outputs: list[dict[str, NDArray[np.float32]]]) -> dict[str, tf.Tensor]:
    return {name: tf.constant(np.concatenate([one[name] for one in outputs])) for name in outputs[0]}
