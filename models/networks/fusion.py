"""The detectors: an encoder a band, a cross-modal attention layer at each scale, a top-down neck, heads by stride.

Owns the sizes of each named network and how the parts join; layers are named by part (`PARTS`), so that a precision
plan can say ``fusion*`` or ``head*``. Inputs and outputs are those of `models.heads`. With one band alone, nothing is
fused: its features go to the neck as they are.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from models.captures import ObjectClass
from models.heads import INPUT_EO, INPUT_LWIR
from models.networks.attention import AttentionSpec, Keys, Norm, cross_attention, fused_sum
from models.networks.blocks import Blocks
from models.networks.layers import Upsample

__all__ = [
    "FUSION_SMALL",
    "FUSION_TRANSFORMER",
    "FUSION_TRANSFORMER_SMALL",
    "PARTS",
    "THERMAL_SMALL",
    "FusionSpec",
    "build_fusion",
]

PARTS = ("eo", "lwir", "fusion", "neck", "head")
"""A layer's name begins with its part; the heads' outputs (cls_4, box_4, kin_4 ...) belong to ``head``."""

_PRIOR_LOGIT = -4.6  # a score of 0.01 at the start (Lin et al. 2017), or thousands of empty cells swamp the loss


@dataclass(frozen=True, slots=True)
class FusionSpec:
    """Sizes of a fusion detector.

    Attributes:
        height: pixels of the input.
        width: pixels of the input.
        stem: channels at stride 2.
        channels: channels of each encoder at strides 4, 8, 16, ...
        depths: residual units of each encoder at those strides.
        attention: one cross-modal attention layer, or None for a plain sum, at each of those strides; none for a single
            band.
        neck: channels of the neck and the heads' trunks.
        strides: strides that have a head; what is finer than the finest is not fused.
        bands: what the network sees: both, or one of them.
        trunk: units between the neck and a head.
        keys: what attention looks at.
        norm: what stands before attention and its GELU block.
    """

    height: int
    width: int
    stem: int
    channels: tuple[int, ...]
    depths: tuple[int, ...]
    attention: tuple[AttentionSpec | None, ...]
    neck: int
    strides: tuple[int, ...]
    bands: tuple[str, ...] = (INPUT_EO, INPUT_LWIR)
    trunk: int = 1
    keys: Keys = Keys.POOLED
    norm: Norm = Norm.TANH

    def check(self) -> None:
        """Check that the sizes fit together.

        Raises:
            ValueError: says what does not.
        """
        if self.bands not in {(INPUT_EO, INPUT_LWIR), (INPUT_EO,), (INPUT_LWIR,)}:
            raise ValueError(f"bands {self.bands} are not {INPUT_EO!r}, {INPUT_LWIR!r} or both in this order")
        levels = len(self.channels)
        if not levels or len(self.depths) != levels:
            raise ValueError("channels and depths need one entry for each stride, and at least one")
        if len(self.attention) != (levels if len(self.bands) == 2 else 0):
            raise ValueError("attention needs one entry for each stride, and none for a single band")
        scales = [4 << level for level in range(levels)]
        if not self.strides or not set(self.strides) <= set(scales):
            raise ValueError(f"strides {self.strides} need to be among {tuple(scales)}")
        if self.height % scales[-1] or self.width % scales[-1]:
            raise ValueError(f"an input of {self.width}x{self.height} is not a multiple of stride {scales[-1]}")
        for scale, spec in zip(scales, self.attention, strict=False):
            if spec is not None:
                spec.check(self.height // scale, self.width // scale, self.keys)


FUSION_SMALL = FusionSpec(
    height=128,
    width=160,
    stem=12,
    channels=(20, 32, 48),
    depths=(1, 1, 1),
    attention=(AttentionSpec(16, 2, 8), AttentionSpec(32, 2, 4), AttentionSpec(32, 2, 2)),
    neck=28,
    strides=(4, 8),
)
"""Trains in minutes on two cores. Made for integers: few pooled keys, bounded logits."""

FUSION_TRANSFORMER = FusionSpec(
    height=512,
    width=640,
    stem=16,
    channels=(32, 64, 96, 128, 128),
    depths=(1, 2, 2, 2, 2),
    attention=(
        None,
        None,
        AttentionSpec(16, 1, (4, 5), expand=1),
        AttentionSpec(32, 2, (4, 2), expand=2),
        AttentionSpec(32, 2, (2, 1), expand=2),
    ),
    neck=72,
    strides=(8, 16, 32),
    keys=Keys.ALL,
    norm=Norm.LAYER,
)
"""3.4 G MAC a frame, the work that the board's power budget is stated for: attention over 1,280, 320 and 80 cells."""

FUSION_TRANSFORMER_SMALL = FusionSpec(
    height=128,
    width=160,
    stem=12,
    channels=(20, 32, 48, 64),
    depths=(1, 1, 2, 2),
    attention=(
        None,
        AttentionSpec(32, 2, 4, expand=2),
        AttentionSpec(32, 2, (2, 1), expand=2),
        AttentionSpec(32, 2),
    ),
    neck=28,
    strides=(4, 8),
    keys=Keys.ALL,
    norm=Norm.LAYER,
)
"""The same for the demo: attention over 320, 80 and 20 cells."""

THERMAL_SMALL = dataclasses.replace(FUSION_SMALL, height=256, width=320, attention=(), bands=(INPUT_LWIR,))
"""The thermal stream of fusion-small alone, for cameras without a visible twin; at twice its resolution."""

_CHANNELS = {INPUT_EO: 3, INPUT_LWIR: 1}


def build_fusion(spec: FusionSpec, name: str, *, folded: bool) -> keras.Model:
    """Build a fusion detector.

    Args:
        spec: sizes.
        name: the model's name.
        folded: without batch normalization, one layer per quantized tensor (see `models.networks.fold`).

    Returns:
        A functional model from ``{"eo": [B, H, W, 3], "lwir": [B, H, W, 1]}`` (or one), float32 in [0, 1], to
        ``{"cls_s": ..., "box_s": ..., "kin_s": ...}`` for each stride of the spec.
    """
    blocks = Blocks(folded)
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
