"""The named networks and their sizes, as values: what can be known of them without TensorFlow."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from enum import StrEnum

from models.heads import INPUT_EO, INPUT_LWIR

__all__ = ["MAX_POOLED_KEYS", "NETWORKS", "PARTS", "AttentionSpec", "FusionSpec", "Keys", "Norm"]

MAX_POOLED_KEYS = 64
"""With 64 flat keys an INT8 softmax still keeps 24 dB; with 1,024 it loses 80 % of the attention's mass."""

PARTS = ("eo", "lwir", "fusion", "neck", "head")
"""A layer's name begins with its part; the heads' outputs (cls_4, box_4, kin_4 ...) belong to ``head``."""


class Keys(StrEnum):
    """What a query looks at."""

    ALL = "all"
    POOLED = "pooled"


class Norm(StrEnum):
    """What stands before each branch."""

    LAYER = "layer"
    TANH = "tanh"


@dataclass(frozen=True, slots=True)
class AttentionSpec:
    """Sizes of one cross-modal attention layer.

    Attributes:
        depth: channels of queries, keys and values, over all heads.
        heads: attention heads; they share ``depth``.
        pool: with pooled keys, the cells (rows and columns, or both alike) that one key stands for.
        expand: channels of the token-wise GELU block after attention, in multiples of the layer's; 0 leaves it out.
    """

    depth: int
    heads: int
    pool: int | tuple[int, int] = 1
    expand: int = 0

    @property
    def window(self) -> tuple[int, int]:
        """Rows and columns that one pooled key stands for."""
        return (self.pool, self.pool) if isinstance(self.pool, int) else self.pool

    def check(self, height: int, width: int, keys: Keys) -> None:
        """Check that the layer fits a grid of ``height`` x ``width`` cells.

        Raises:
            ValueError: a division leaves a rest, or too many pooled keys are left.
        """
        rows, columns = self.window
        if keys is Keys.POOLED:
            if height % rows or width % columns:
                raise ValueError(f"a grid of {width}x{height} cells cannot be pooled by {self.pool}")
            count = (height // rows) * (width // columns)
            if count > MAX_POOLED_KEYS:
                raise ValueError(f"{count} keys are more than {MAX_POOLED_KEYS}; pool by more than {self.pool}")
        if self.depth % self.heads:
            raise ValueError(f"an attention depth of {self.depth} cannot be shared by {self.heads} heads")


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


NETWORKS: dict[str, FusionSpec] = {
    "fusion-small": FUSION_SMALL,
    "thermal-small": THERMAL_SMALL,
    "fusion-transformer": FUSION_TRANSFORMER,
    "fusion-transformer-small": FUSION_TRANSFORMER_SMALL,
}
"""Every network that `build` knows, by name."""
