"""The screen: a fast estimate of every group's divergence from one forward and one backward pass.

To second order, the divergence that a small error dy in a tensor causes is dy' J' J dy, with J the derivative of the
weighted outputs (`models.sensitivity.losses`). For r of random signs and g = J' r, the expectation of (g . dy)^2 is
equal to it: the Fisher information of the outputs, sampled once per frame. The error dy of each group is computed
exactly from the float network's inputs to it, so the cost does not depend on the number of groups.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from models.quant.plan import Precision
from models.sensitivity.groups import Group
from models.sensitivity.losses import weigher
from models.sensitivity.study import Study, simulation_of

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
        precisions: the precisions to estimate.
        groups: names of the groups to estimate; all if None.
        batch: frames per pass.
        seed: of the signs.

    Returns:
        By precision and group: float64 [frames].
    """
    chosen = [group for group in study.groups if groups is None or group.name in groups]
    found: dict[Precision, dict[str, list[NDArray[np.float64]]]] = {p: {} for p in precisions}
    for first in range(0, len(frames), batch):
        feed = study.pools[pool].feed(frames[first : first + batch])
        random = np.random.default_rng([seed, first])
        for precision, scores in _batch(study, chosen, feed, precisions, random).items():
            for name, values in scores.items():
                found[precision].setdefault(name, []).append(values)
    return {p: {name: np.concatenate(parts) for name, parts in by_group.items()} for p, by_group in found.items()}


def _batch(
    study: Study,
    groups: Sequence[Group],
    feed: Mapping[str, Any],
    precisions: Sequence[Precision],
    random: np.random.Generator,
) -> Screened:
    simulation = simulation_of(study)
    with tf.GradientTape() as tape:
        values = simulation.start(feed)
        tape.watch([value for value in values.values() if value.dtype.is_floating])
        simulation.extend(values, range(len(simulation.nodes)))
        outputs = simulation.named(values.__getitem__)
        reference = {name: tf.stop_gradient(value) for name, value in outputs.items()}
        weighted = weigher(outputs, study.spans)(outputs, reference)
        signs = tf.constant(random.integers(0, 2, weighted.shape) * 2 - 1, tf.float32)
        probe = tf.reduce_sum(weighted * signs)
    tensors = {index: values[index] for group in groups for index in group.tensors}
    slopes = tape.gradient(probe, tensors, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    found: Screened = {precision: {} for precision in precisions}
    for group in groups:
        for precision in precisions:
            made = simulation.partial(group.ops, study.assignment(Precision.FP32, {group.name: precision}), values)
            parts = [_projected(slopes[index], made[index] - values[index]) for index in group.tensors]
            found[precision][group.name] = np.sum(parts, 0) ** 2
    return found


def _projected(slope: tf.Tensor, error: tf.Tensor) -> NDArray[np.float64]:
    """Return gradient times error, summed per frame."""
    return np.asarray(tf.reduce_sum(slope * error, tuple(range(1, len(error.shape)))), np.float64)


def attention_entropy(
    study: Study, pool: str, frames: Sequence[int], *, batch: int = 16
) -> dict[str, NDArray[np.float64]]:
    """Return the normalized attention entropy of each softmax of the float network: 0 for one key, 1 if uniform.

    Returns:
        By group: float64 [frames], the mean over heads and queries of the entropy over that of a flat softmax. An
        INT8 softmax has 256 steps for all keys; the flatter it is, the fewer steps each key has.
    """
    simulation = simulation_of(study)
    softmaxes = [node for node in simulation.nodes if node.kind == "SOFTMAX"]
    owner = {index: group.name for group in study.groups for index in group.ops}
    found: dict[str, list[NDArray[np.float64]]] = {owner[node.op.index]: [] for node in softmaxes}
    for first in range(0, len(frames) if softmaxes else 0, batch):
        values = simulation.start(study.pools[pool].feed(frames[first : first + batch]))
        simulation.extend(values, range(softmaxes[-1].op.index + 1))
        for node in softmaxes:
            share = values[node.op.outputs[0]]
            entropy = -tf.reduce_sum(share * tf.math.log(share + 1e-12), -1) / np.log(max(2, share.shape[-1]))
            axes = tuple(range(1, len(entropy.shape)))
            found[owner[node.op.index]].append(np.asarray(tf.reduce_mean(entropy, axes), np.float64))
    return {name: np.concatenate(parts) for name, parts in found.items()}
