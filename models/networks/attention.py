"""One cross-modal attention layer: each band asks the other what it sees, over pooled keys and values.

Written for INT16 activations: ``tanh(alpha x)`` where others use LayerNorm (no RSQRT, bounded output), keys and
values pooled to few tokens (an INT8 softmax has 256 steps to share among the keys), all linears as 1x1
convolutions, all products of rank 4. Every tensor that the integer graph stores is the output of a named layer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras import layers

from models.networks.blocks import Blocks
from models.networks.layers import Heads, Merge, Product, ScalarScale

__all__ = ["MAX_KEYS", "AttentionSpec", "cross_attention"]

MAX_KEYS = 64
"""With 64 flat keys an INT8 softmax still keeps 24 dB; with 1,024 it loses 80 % of the attention's mass."""


@dataclass(frozen=True, slots=True)
class AttentionSpec:
    """Sizes of one cross-modal attention layer.

    Attributes:
        depth: channels of queries, keys and values, over all heads.
        heads: attention heads; they share ``depth``.
        pool: keys and values are averaged over ``pool`` x ``pool`` cells; or over (rows, columns) of them.
    """

    depth: int
    heads: int
    pool: int | tuple[int, int]

    @property
    def window(self) -> tuple[int, int]:
        """Rows and columns that one key stands for."""
        return (self.pool, self.pool) if isinstance(self.pool, int) else self.pool

    def check(self, height: int, width: int) -> None:
        """Check that the layer fits a grid of ``height`` x ``width`` cells.

        Raises:
            ValueError: too many keys, or a division leaves a rest.
        """
        rows, columns = self.window
        if height % rows or width % columns:
            raise ValueError(f"a grid of {width}x{height} cells cannot be pooled by {self.pool}")
        keys = (height // rows) * (width // columns)
        if keys > MAX_KEYS:
            raise ValueError(f"{keys} keys are more than {MAX_KEYS}; pool by more than {self.pool}")
        if self.depth % self.heads:
            raise ValueError(f"an attention depth of {self.depth} cannot be shared by {self.heads} heads")


def cross_attention(blocks: Blocks, eo: Any, lwir: Any, spec: AttentionSpec, name: str) -> Any:
    """Fuse two grids [B, h, w, c] of one size into one of the same shape.

    ``out = in(eo) + in(lwir) + attend(eo asks lwir) + attend(lwir asks eo)``; the sum is the residual stream.
    """
    channels = eo.shape[-1]
    streams = [blocks.unit(x, channels, f"{name}_{band}_in", kernel=1, relu=False) for band, x in _bands(eo, lwir)]
    base = layers.Add(name=f"{name}_base")(streams)
    queries, sources = {}, {}
    for band, x in _bands(eo, lwir):
        normed = ScalarScale(name=f"{name}_{band}_scale")(x)
        normed = layers.Activation("tanh", name=f"{name}_{band}_norm")(normed)
        queries[band] = normed
        sources[band] = layers.AveragePooling2D(spec.window, name=f"{name}_{band}_pool")(normed)
    first = _attend(blocks, queries["eo"], sources["lwir"], spec, channels, f"{name}_eo")
    second = _attend(blocks, queries["lwir"], sources["eo"], spec, channels, f"{name}_lwir")
    return layers.Add(name=name)([layers.Add(name=f"{name}_half")([base, first]), second])


def _bands(eo: Any, lwir: Any) -> tuple[tuple[str, Any], tuple[str, Any]]:
    return ("eo", eo), ("lwir", lwir)


def _attend(blocks: Blocks, asks: Any, seen: Any, spec: AttentionSpec, channels: int, name: str) -> Any:
    # 1 / sqrt(d) lives in the queries' weights from the start: one operation and one rounding fewer.
    q = blocks.linear(asks, spec.depth, f"{name}_q", gain=spec.heads / spec.depth)
    k = blocks.linear(seen, spec.depth, f"{name}_k")
    v = blocks.linear(seen, spec.depth, f"{name}_v")
    q = Heads(spec.heads, name=f"{name}_q_heads")(q)
    k = Heads(spec.heads, keys=True, name=f"{name}_k_heads")(k)
    v = Heads(spec.heads, name=f"{name}_v_heads")(v)
    logits = Product(name=f"{name}_logits")([q, k])
    weights = layers.Softmax(name=f"{name}_weights")(logits)
    mixed = Product(name=f"{name}_mixed")([weights, v])
    grid = Merge(asks.shape[1], asks.shape[2], name=f"{name}_grid")(mixed)
    return blocks.linear(grid, channels, f"{name}_out")
