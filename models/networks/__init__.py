"""Keras networks written for integer kernels. TensorFlow is imported when one is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from models.errors import RecipeError
from models.networks.inputs import feed, frame_size
from models.networks.spec import NETWORKS, PARTS, AttentionSpec, FusionSpec, Keys, Norm

if TYPE_CHECKING:
    import keras

__all__ = [
    "NETWORKS",
    "AttentionSpec",
    "FusionSpec",
    "Keys",
    "Norm",
    "build",
    "feed",
    "frame_size",
    "groups",
]


def build(name: str, **options: Any) -> keras.Model:
    """Build a network with fresh weights (seed with ``keras.utils.set_random_seed`` before).

    Args:
        name: one of `NETWORKS`.
        options: fields of its spec that differ from the named network's, e.g. ``neck=24``; as a recipe gives them,
            with lists for tuples, ``[depth, heads, pool, expand]`` for an attention layer and ``[]`` for none.

    Raises:
        RecipeError: an unknown network or option (the text lists the known ones), or sizes that do not fit together.
    """
    from models.networks.fusion import build_fusion

    return build_fusion(_spec(name, options), name.replace("-", "_"))


def _spec(name: str, options: Mapping[str, Any]) -> FusionSpec:
    """Return the named spec with ``options`` in it, as a recipe's file gives them."""
    if name not in NETWORKS:
        raise RecipeError(f"unknown network {name!r}; known are {', '.join(NETWORKS)}")
    known = [field.name for field in dataclasses.fields(NETWORKS[name])]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise RecipeError(f"network {name!r} has no option {unknown[0]!r}; options are {', '.join(known)}")
    values: dict[str, Any] = {key: _tupled(value) for key, value in options.items()}
    if "attention" in values:
        values["attention"] = tuple(_attention(layer) for layer in values["attention"])
    for key, kind in (("keys", Keys), ("norm", Norm)):
        if key in values and values[key] not in [item.value for item in kind]:
            raise RecipeError(f"network {name!r}: {key} = {values[key]!r} is none of {', '.join(kind)}")
        values |= {key: kind(values[key])} if key in values else {}
    spec = dataclasses.replace(NETWORKS[name], **values)
    try:
        spec.check()
    except ValueError as error:
        raise RecipeError(f"network {name!r}: {error}") from error
    return spec


def _attention(layer: Any) -> AttentionSpec | None:
    if layer is None or isinstance(layer, AttentionSpec):
        return layer
    return AttentionSpec(*(_tupled(part) for part in layer)) if layer else None


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def groups(model: keras.Model) -> dict[str, tuple[str, ...]]:
    """Return the layers that compute something, by part: the units in which precision is planned.

    Each cross-modal attention layer is a part of its own (``fusion_4``, ``fusion_8`` ...), since attention is
    what quantization hurts most; the others are ``eo``, ``lwir``, ``neck`` and ``head``.
    """
    import keras

    found: dict[str, list[str]] = {}
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        first, _, rest = layer.name.partition("_")
        part = f"fusion_{rest.partition('_')[0]}" if first == "fusion" else first if first in PARTS else "head"
        found.setdefault(part, []).append(layer.name)
    return {part: tuple(names) for part, names in found.items()}
