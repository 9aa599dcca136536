"""Folding batch normalization into the convolutions before it, exactly as inference computes it.

Knows only the naming rule of `models.networks.blocks`; weights go by layer name from one form to the other.
"""

from __future__ import annotations

import keras
import numpy as np
from numpy.typing import NDArray

from models.errors import TrainingError
from models.networks.blocks import CONV_SUFFIX, NORM_SUFFIX

__all__ = ["fold_into"]


def fold_into(trained: keras.Model, folded: keras.Model) -> keras.Model:
    """Fill ``folded`` (a network built with ``folded=True``) with the weights of ``trained``, and return it.

    Raises:
        TrainingError: the two are not forms of one network; names the layer.
    """
    known = {layer.name: layer for layer in trained.layers}
    for layer in folded.layers:
        if not layer.weights:
            continue
        convolution = known.get(layer.name + CONV_SUFFIX)
        if convolution is not None:
            norm = known.get(layer.name + NORM_SUFFIX) or known[layer.name]
            layer.set_weights(list(_folded(convolution, norm)))
        elif layer.name in known:
            layer.set_weights(known[layer.name].get_weights())
        else:
            raise TrainingError(f"cannot fold: the trained network has no layer {layer.name!r}")
    return folded


def _folded(convolution: keras.layers.Layer, norm: keras.layers.Layer) -> tuple[NDArray, NDArray]:
    """Return kernel and bias of ``norm(convolution(x))``: scale gamma / sqrt(variance + epsilon) by channel."""
    gamma, beta, mean, variance = (np.asarray(w, np.float64) for w in norm.get_weights())
    scale = gamma / np.sqrt(variance + norm.epsilon)
    kernel = np.asarray(convolution.get_weights()[0], np.float64)
    if isinstance(convolution, keras.layers.DepthwiseConv2D):  # [h, w, channels, 1]: the scale is of the third axis
        return (kernel * scale[:, None]).astype(np.float32), (beta - mean * scale).astype(np.float32)
    return (kernel * scale).astype(np.float32), (beta - mean * scale).astype(np.float32)
