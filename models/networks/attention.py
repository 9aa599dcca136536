"""One cross-modal attention layer: each band asks the other what it sees.

Two things are choices of the network's designer, and decide what integers cost. *Keys*: a softmax over all cells of a
scale, or over few pooled ones. *Normalization*: LayerNorm before each branch, as transformers have it, which leaves
logits unbounded; or ``tanh(alpha x)``, which bounds them. All linears are 1x1 convolutions, all products of rank 4, and
every tensor that the integer graph stores is the output of a named layer.
"""

from __future__ import annotations

from typing import Any

from keras import layers

from models.networks.blocks import Blocks
from models.networks.layers import Centred, ChannelMean, Fixed, Heads, Merge, Product, ReciprocalRoot, ScalarScale
from models.networks.spec import AttentionSpec, Keys, Norm

__all__ = ["cross_attention", "fused_sum"]

_VARIANCE_FLOOR = 1e-3
_GELU_SLOPE = 1.702  # Hendrycks and Gimpel 2016: x sigmoid(1.702 x)


def cross_attention(
    blocks: Blocks, eo: Any, lwir: Any, spec: AttentionSpec, name: str, *, keys: Keys, norm: Norm
) -> Any:
    """Fuse two grids [B, h, w, c] of one size into one of the same shape.

    ``x = in(eo) + in(lwir) + attend(eo asks lwir) + attend(lwir asks eo)``, and with ``spec.expand`` another
    ``x + narrow(gelu(widen(norm(x))))``; the sums are the residual stream, which nothing normalizes (pre-LN, Xiong et
    al. 2020).
    """
    channels = eo.shape[-1]
    attended = name if not spec.expand else f"{name}_attended"
    base = fused_sum(blocks, eo, lwir, name, f"{name}_base")
    queries, sources = {}, {}
    for band, x in (("eo", eo), ("lwir", lwir)):
        queries[band] = sources[band] = _normed(x, norm, f"{name}_{band}")
        if keys is Keys.POOLED:
            sources[band] = layers.AveragePooling2D(spec.window, name=f"{name}_{band}_pool")(queries[band])
    first = _attend(blocks, queries["eo"], sources["lwir"], spec, channels, f"{name}_eo")
    second = _attend(blocks, queries["lwir"], sources["eo"], spec, channels, f"{name}_lwir")
    x = layers.Add(name=attended)([layers.Add(name=f"{name}_half")([base, first]), second])
    if not spec.expand:
        return x
    inside = blocks.linear(_normed(x, norm, f"{name}_mlp"), channels * spec.expand, f"{name}_mlp_widen")
    return layers.Add(name=name)([x, blocks.linear(_gelu(inside, f"{name}_mlp"), channels, f"{name}_mlp_narrow")])


def fused_sum(blocks: Blocks, eo: Any, lwir: Any, prefix: str, name: str) -> Any:
    """Add a linear map of each band; by itself, what a scale without attention is fused by."""
    streams = [
        blocks.unit(x, eo.shape[-1], f"{prefix}_{band}_in", kernel=1, relu=False)
        for band, x in (("eo", eo), ("lwir", lwir))
    ]
    return layers.Add(name=name)(streams)


def _normed(x: Any, norm: Norm, name: str) -> Any:
    if norm is Norm.TANH:
        return layers.Activation("tanh", name=f"{name}_norm")(ScalarScale(name=f"{name}_scale")(x))
    # MEAN, SUB, MUL, MEAN, ADD, RSQRT, MUL: Keras's own layer becomes operations that have no 16-bit kernels. The
    # linear map that follows holds what gain and offset would add.
    centred = Centred(name=f"{name}_centred")([x, ChannelMean(name=f"{name}_mean")(x)])
    squared = layers.Multiply(name=f"{name}_squared")([centred, centred])
    variance = ChannelMean(name=f"{name}_variance")(squared)
    floored = Fixed(offset=_VARIANCE_FLOOR, name=f"{name}_floored")(variance)
    return layers.Multiply(name=f"{name}_norm")([centred, ReciprocalRoot(name=f"{name}_rsqrt")(floored)])


def _gelu(x: Any, name: str) -> Any:
    """Return ``x sigmoid(1.702 x)``: MUL, LOGISTIC, MUL, which every integer runtime has."""
    steep = Fixed(_GELU_SLOPE, name=f"{name}_slope")(x)
    return layers.Multiply(name=f"{name}_gelu")([x, layers.Activation("sigmoid", name=f"{name}_gate")(steep)])


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
