"""The fast screen: an estimate of every group's divergence from one forward and one backward pass.

To second order, the divergence that a small error dy in a tensor causes is dy' J' J dy, with J the derivative of the
weighted outputs (`models.sensitivity.losses`). For r of random signs and g = J' r, the expectation of (g . dy)^2 is
just that: the Fisher information of the outputs, sampled once a frame. The error dy of each group is computed exactly,
from the float network's own inputs to it. So the cost does not grow with the number of groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from models.quant.plan import Precision
from models.sensitivity.groups import Group
from models.sensitivity.losses import weighted_outputs
from models.sensitivity.simulator import Simulator
from models.sensitivity.study import Study, simulator_of
from models.sensitivity.tasks import feed_of

__all__ = ["attention_entropy", "screen"]

Screened = dict[Precision, dict[str, NDArray[np.float64]]]


def screen(
    study: Study,
    pool: str,
    frames: Sequence[int],
    precisions: Sequence[Precision] = (Precision.INT8, Precision.INT16),
    *,
    groups: Sequence[str] | None = None,
    batch: int = 16,
    seed: int = 0,
) -> Screened:
    """Estimate each group's divergence on some frames.

    Args:
        study: graph and pools.
        pool: the pool's name.
        frames: positions in it.
        precisions: what for.
        groups: names of those to estimate; all if None.
        batch: frames at a time.
        seed: of the signs.

    Returns:
        By precision and group: float64 [frames].
    """
    simulator = simulator_of(study)
    chosen = [group for group in simulator.groups if groups is None or group.name in groups]
    found: dict[Precision, dict[str, list[NDArray[np.float64]]]] = {p: {} for p in precisions}
    for first in range(0, len(frames), batch):
        feed = feed_of(study.pools[pool], frames[first : first + batch])
        random = np.random.default_rng([seed, first])
        for precision, scores in _batch(simulator, chosen, feed, precisions, random).items():
            for name, values in scores.items():
                found[precision].setdefault(name, []).append(values)
    return {p: {name: np.concatenate(parts) for name, parts in by_group.items()} for p, by_group in found.items()}


def _batch(
    simulator: Simulator,
    groups: Sequence[Group],
    feed: Mapping[str, Any],
    precisions: Sequence[Precision],
    random: np.random.Generator,
) -> Screened:
    values: dict[int, tf.Tensor] = {t.index: tf.convert_to_tensor(feed[t.name]) for t in simulator.graph.inputs}
    inputs = frozenset(values)
    with tf.GradientTape() as tape:
        tape.watch([values[index] for index in inputs])
        for kernel in simulator.kernels:
            read = [values[index] for index in kernel.inputs]
            values[kernel.op.outputs[0]] = simulator.apply(kernel, Precision.FP32, read)
        outputs = {t.name: values[t.index] for t in simulator.graph.outputs}
        reference = {name: tf.stop_gradient(value) for name, value in outputs.items()}
        weighted = weighted_outputs(outputs, reference)
        signs = tf.constant(random.integers(0, 2, weighted.shape) * 2 - 1, tf.float32)
        probe = tf.reduce_sum(weighted * signs)
    tensors = [values[group.tensor] for group in groups]
    slopes = tape.gradient(probe, tensors, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    found: Screened = {precision: {} for precision in precisions}
    for group, slope, value in zip(groups, slopes, tensors, strict=True):
        for precision in precisions:
            error = _in_precision(simulator, group, values, inputs, precision) - value
            axes = tuple(range(1, len(error.shape)))
            found[precision][group.name] = np.asarray(tf.reduce_sum(slope * error, axes), np.float64) ** 2
    return found


def _in_precision(
    simulator: Simulator,
    group: Group,
    values: Mapping[int, tf.Tensor],
    inputs: frozenset[int],
    precision: Precision,
) -> tf.Tensor:
    """Return what the group gives when it alone runs in ``precision``; frames are on every grid already."""
    made: dict[int, tf.Tensor] = {}
    for index in group.ops:
        kernel = simulator.kernels[index]
        read = [
            made[i] if i in made else values[i] if i in inputs else simulator.rounded(i, values[i], precision)
            for i in kernel.inputs
        ]
        made[kernel.op.outputs[0]] = simulator.apply(kernel, precision, read)
    return made[group.tensor]


def attention_entropy(
    study: Study, pool: str, frames: Sequence[int], *, batch: int = 16
) -> dict[str, NDArray[np.float64]]:
    """Return how spread out each softmax is in the float network: 0 looks at one key, 1 at all alike.

    Returns:
        By group: float64 [frames], the mean over heads and queries of the entropy over that of a flat softmax. An
        INT8 softmax has 256 steps to share among its keys; the flatter it is, the fewer each gets.
    """
    simulator = simulator_of(study)
    softmaxes = [kernel for kernel in simulator.kernels if kernel.op.op == "SOFTMAX"]
    owner = {index: group.name for group in simulator.groups for index in group.ops}
    found: dict[str, list[NDArray[np.float64]]] = {owner[kernel.op.index]: [] for kernel in softmaxes}
    for first in range(0, len(frames) if softmaxes else 0, batch):
        feed = feed_of(study.pools[pool], frames[first : first + batch])
        values = {t.index: tf.convert_to_tensor(feed[t.name]) for t in simulator.graph.inputs}
        for kernel in simulator.kernels[: softmaxes[-1].op.index + 1]:
            read = [values[index] for index in kernel.inputs]
            values[kernel.op.outputs[0]] = simulator.apply(kernel, Precision.FP32, read)
        for kernel in softmaxes:
            share = values[kernel.op.outputs[0]]
            entropy = -tf.reduce_sum(share * tf.math.log(share + 1e-12), -1) / np.log(max(2, share.shape[-1]))
            axes = tuple(range(1, len(entropy.shape)))
            found[owner[kernel.op.index]].append(np.asarray(tf.reduce_mean(entropy, axes), np.float64))
    return {name: np.concatenate(parts) for name, parts in found.items()}
