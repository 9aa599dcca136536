"""AdamW over all variables as one vector: two hundred small tensors cost more in overhead than in arithmetic.

Kingma and Ba 2015 with decoupled weight decay (Loshchilov and Hutter 2019), gradients clipped by their global norm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

__all__ = ["AdamW", "flatten", "unflatten"]

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-7


def flatten(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    """Return all values as one float32 vector."""
    return tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], axis=0)


def unflatten(vector: tf.Tensor, like: Sequence[keras.Variable]) -> list[tf.Tensor]:
    """Cut a vector that `flatten` made into tensors of the shapes of ``like``."""
    sizes = [math.prod(v.shape) for v in like]
    return [tf.reshape(part, v.shape) for part, v in zip(tf.split(vector, sizes), like, strict=True)]


class AdamW:
    """One optimizer for some variables; its state is three TensorFlow variables.

    Args:
        variables: what is trained, float32.
        weight_decay: of variables of rank 4 (convolution kernels); biases, norms and ranges do not decay.
        clip_norm: largest global norm of a gradient.
    """

    def __init__(self, variables: Sequence[keras.Variable], weight_decay: float, clip_norm: float) -> None:
        self._variables, self._clip_norm = list(variables), clip_norm
        size = sum(math.prod(v.shape) for v in variables)
        self._mean = tf.Variable(tf.zeros([size]))
        self._square = tf.Variable(tf.zeros([size]))
        self._steps = tf.Variable(0.0)
        decays = [np.full(math.prod(v.shape), weight_decay if len(v.shape) == 4 else 0.0) for v in variables]
        self._decay = tf.constant(np.concatenate(decays).astype(np.float32))

    @property
    def state(self) -> list[tf.Variable]:
        """The state that a checkpoint keeps."""
        return [self._mean, self._square, self._steps]

    def apply(self, gradients: Sequence[tf.Tensor], rate: tf.Tensor) -> None:
        """Take one step of learning rate ``rate``, a float32 scalar."""
        gradient = flatten(gradients)
        gradient *= tf.minimum(1.0, self._clip_norm / (tf.norm(gradient) + 1e-12))
        steps = self._steps.assign_add(1.0)
        mean = self._mean.assign(_BETA1 * self._mean + (1 - _BETA1) * gradient)
        square = self._square.assign(_BETA2 * self._square + (1 - _BETA2) * gradient * gradient)
        scaled = mean / (1 - _BETA1**steps) / (tf.sqrt(square / (1 - _BETA2**steps)) + _EPSILON)
        values = flatten([v.value for v in self._variables])
        changed = values - rate * (scaled + self._decay * values)
        for variable, value in zip(self._variables, unflatten(changed, self._variables), strict=True):
            variable.assign(value)
