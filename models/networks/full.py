"""The detector of a board at full load: two EfficientNet-Lite-like encoders at the cameras' native resolution.

Encoders are EfficientNet-Lite0's (Tan and Le 2019, without squeeze-and-excite and with ReLU6), narrowed; the stages at
strides 8, 16 and 32 are fused by cross-modal attention; a pyramid of depthwise-separable convolutions carries context
down and back up (Liu et al. 2018, path aggregation); each stride has a head of two towers, one for classes, one for
boxes and kinematics (Lin et al. 2017, RetinaNet). Inputs and outputs are those of
`models.heads`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from models.heads import INPUT_EO, INPUT_LWIR
from models.networks.attention import AttentionSpec, cross_attention
from models.networks.blocks import Blocks
from models.networks.fusion import raw_outputs
from models.networks.layers import Upsample

__all__ = ["FUSION_FULL", "FullSpec", "build_full"]

_STEM = 32
_STRIDES = (8, 16, 32)
# EfficientNet-Lite0: units, kernel, stride of the first, expansion, channels at width 1; fused are those marked.
_STAGES = (
    (1, 3, 1, 1, 16, False),
    (2, 3, 2, 6, 24, False),
    (2, 5, 2, 6, 40, True),
    (3, 3, 2, 6, 80, False),
    (3, 5, 1, 6, 112, True),
    (4, 5, 2, 6, 192, False),
    (1, 3, 1, 6, 320, True),
)


@dataclass(frozen=True, slots=True)
class FullSpec:
    """Sizes of a full detector.

    Attributes:
        height: pixels of the input, a multiple of 32.
        width: pixels of the input, likewise.
        scale: width of the encoders against EfficientNet-Lite0's.
        attention: a cross-modal attention layer at strides 8, 16 and 32.
        neck: channels of the pyramid and the heads' trunks.
    """

    height: int
    width: int
    scale: float
    attention: tuple[AttentionSpec, ...]
    neck: int

    def check(self) -> None:
        """Check that the sizes fit together.

        Raises:
            ValueError: says what does not.
        """
        if self.height % _STRIDES[-1] or self.width % _STRIDES[-1]:
            raise ValueError(f"an input of {self.width}x{self.height} is not a multiple of stride {_STRIDES[-1]}")
        if len(self.attention) != len(_STRIDES):
            raise ValueError(f"attention needs one entry for each of the strides {_STRIDES}")
        for stride, spec in zip(_STRIDES, self.attention, strict=True):
            spec.check(self.height // stride, self.width // stride)


FUSION_FULL = FullSpec(
    height=512,
    width=640,
    scale=0.6,
    attention=(AttentionSpec(32, 2, (8, 10)), AttentionSpec(48, 3, (4, 5)), AttentionSpec(96, 4, (2, 4))),
    neck=72,
)
"""3.4 G MAC a frame, the work that the board's power budget is stated for."""


def build_full(spec: FullSpec, name: str, *, folded: bool) -> keras.Model:
    """Build a full detector; see `models.networks.fusion.build_fusion`."""
    blocks = Blocks(folded)
    channels = {INPUT_EO: 3, INPUT_LWIR: 1}
    frames = {band: keras.Input((spec.height, spec.width, channels[band]), name=band) for band in channels}
    scales = [_encoder(blocks, frames[band], spec, band) for band in frames]
    fused = {
        stride: cross_attention(blocks, eo, lwir, attention, f"fusion_{stride}")
        for stride, eo, lwir, attention in zip(_STRIDES, *scales, spec.attention, strict=True)
    }
    outputs: dict[str, Any] = {}
    for stride, features in _pyramid(blocks, fused, spec.neck).items():
        classes, places = (_tower(blocks, features, spec.neck, f"head_{stride}_{part}") for part in ("cls", "box"))
        outputs |= raw_outputs({"cls": classes, "box": places, "kin": places}, stride)
    return keras.Model(frames, outputs, name=name)


def _encoder(blocks: Blocks, x: Any, spec: FullSpec, band: str) -> list[Any]:
    """Return the features at strides 8, 16 and 32."""
    x = blocks.unit(x, _STEM, f"{band}_stem", stride=2)
    scales = []
    for stage, (units, kernel, first, expand, channels, fused) in enumerate(_STAGES, 1):
        for unit in range(1, units + 1):
            stride = first if unit == 1 else 1
            filters = _rounded(channels * spec.scale)
            x = blocks.inverted(
                x, filters, f"{band}_stage{stage}_unit{unit}", expand=expand, kernel=kernel, stride=stride
            )
        if fused:
            scales.append(x)
    return scales


def _rounded(channels: float) -> int:
    """Round to a multiple of 8, what integer kernels work in."""
    return max(8, int(channels + 4) // 8 * 8)


def _pyramid(blocks: Blocks, fused: dict[int, Any], neck: int) -> dict[int, Any]:
    """Carry context from coarse to fine, then detail from fine to coarse."""
    down: dict[int, Any] = {}
    for stride in reversed(_STRIDES):
        x = blocks.unit(fused[stride], neck, f"neck_{stride}_lateral", kernel=1)
        if down:
            up = Upsample(name=f"neck_{stride}_up")(down[stride * 2])
            x = layers.Add(name=f"neck_{stride}_sum")([x, up])
            x = blocks.separable(x, neck, f"neck_{stride}")
        down[stride] = x
    found = {_STRIDES[0]: down[_STRIDES[0]]}
    for stride in _STRIDES[1:]:
        below = blocks.depthwise(found[stride // 2], f"neck_{stride}_below", stride=2)
        x = layers.Add(name=f"neck_{stride}_back")([down[stride], below])
        found[stride] = blocks.separable(x, neck, f"neck_{stride}_out")
    return found


def _tower(blocks: Blocks, x: Any, channels: int, name: str) -> Any:
    for unit in (1, 2):
        x = blocks.unit(x, channels, f"{name}_{unit}")
    return x
