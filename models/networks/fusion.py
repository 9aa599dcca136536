"""The detectors: an encoder a band, a cross-modal attention layer at each scale, a top-down neck, heads by stride.

Owns how the parts join; layers are named by part (`spec.PARTS`), so that a precision
plan can say ``fusion*`` or ``head*``. Inputs and outputs are those of `models.heads`. With one band alone, nothing is
fused: its features go to the neck as they are.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import layers

from models.captures import ObjectClass
from models.heads import INPUT_EO, INPUT_LWIR
from models.networks.attention import cross_attention, fused_sum
from models.networks.blocks import Blocks
from models.networks.layers import Upsample
from models.networks.spec import FusionSpec

__all__ = ["build_fusion"]

_PRIOR_LOGIT = -4.6  # a score of 0.01 at the start (Lin et al. 2017), or thousands of empty cells swamp the loss


_CHANNELS = {INPUT_EO: 3, INPUT_LWIR: 1}


def build_fusion(spec: FusionSpec, name: str) -> keras.Model:
    """Build a fusion detector.

    Args:
        spec: sizes.
        name: the model's name.

    Returns:
        A functional model from ``{"eo": [B, H, W, 3], "lwir": [B, H, W, 1]}`` (or one), float32 in [0, 1], to
        ``{"cls_s": ..., "box_s": ..., "kin_s": ...}`` for each stride of the spec.
    """
    blocks = Blocks()
    frames = {band: keras.Input((spec.height, spec.width, _CHANNELS[band]), name=band) for band in spec.bands}
    scales = [_encoder(blocks, frames[band], spec, band) for band in spec.bands]
    if len(scales) == 1:
        fused = {4 << i: features for i, features in enumerate(scales[0])}
    else:
        fused = {
            4 << i: _fused(blocks, eo, lwir, spec, i)
            for i, (eo, lwir) in enumerate(zip(*scales, strict=True))
            if 4 << i >= min(spec.strides)
        }
    outputs: dict[str, Any] = {}
    for stride, x in _neck(blocks, fused, spec).items():
        for unit in range(spec.trunk):
            x = blocks.unit(x, spec.neck, f"head_{stride}_trunk" + (f"{unit + 1}" if spec.trunk > 1 else ""))
        outputs |= _raw_outputs(x, stride)
    return keras.Model(frames, outputs, name=name)


def _fused(blocks: Blocks, eo: Any, lwir: Any, spec: FusionSpec, level: int) -> Any:
    attention, stride = spec.attention[level], 4 << level
    if attention is None:
        return fused_sum(blocks, eo, lwir, f"neck_{stride}", f"neck_{stride}_fused")
    return cross_attention(blocks, eo, lwir, attention, f"fusion_{stride}", keys=spec.keys, norm=spec.norm)


def _encoder(blocks: Blocks, x: Any, spec: FusionSpec, band: str) -> list[Any]:
    """Return the features at strides 4, 8, 16, ..."""
    x = blocks.unit(x, spec.stem, f"{band}_stem", stride=2)
    scales = []
    for level, (channels, depth) in enumerate(zip(spec.channels, spec.depths, strict=True)):
        stride = 4 << level
        x = blocks.unit(x, channels, f"{band}_{stride}_down", stride=2)
        for unit in range(depth):
            x = blocks.residual(x, f"{band}_{stride}_res{unit + 1}")
        scales.append(x)
    return scales


def _neck(blocks: Blocks, fused: dict[int, Any], spec: FusionSpec) -> dict[int, Any]:
    """Carry context from coarse to fine; return the features of each stride that has a head."""
    found: dict[int, Any] = {}
    above = None
    for stride in sorted(fused, reverse=True):
        x = blocks.unit(fused[stride], spec.neck, f"neck_{stride}_lateral", kernel=1)
        if above is not None:
            up = Upsample(name=f"neck_{stride}_up")(above)
            x = layers.Add(name=f"neck_{stride}_sum")([x, up])
            x = blocks.unit(x, spec.neck, f"neck_{stride}")
        above = x
        if stride in spec.strides:
            found[stride] = x
    return dict(sorted(found.items()))


def _raw_outputs(features: Any, stride: int) -> dict[str, Any]:
    """Return ``cls_s``, ``box_s`` and ``kin_s``: 1x1 convolutions of the features."""
    sizes = {"cls": (len(ObjectClass), _PRIOR_LOGIT), "box": (4, 1.5), "kin": (2, 0.0)}
    return {
        f"{part}_{stride}": layers.Conv2D(
            channels,
            1,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.02),
            bias_initializer=keras.initializers.Constant(bias),
            name=f"{part}_{stride}",
        )(features)
        for part, (channels, bias) in sizes.items()
    }
