"""Captures as samples for any graph that has a model card."""

from __future__ import annotations

from firmware_bridge.device.graph import Graph
from models.captures import CaptureSet
from models.card.card import ModelCard
from models.card.feed import check_bands, graph_inputs
from models.quant.feeds import Sample

__all__ = ["card_samples"]


def card_samples(card: ModelCard, graph: Graph, captures: CaptureSet, count: int) -> list[Sample]:
    """Return at most ``count`` captures, spread over the set, as inputs of a float graph.

    Raises:
        DataError: the card does not fit the graph, or the captures lack the bands that it looks at.
    """
    card.check(graph)
    check_bands(card, captures)
    count = min(count, len(captures))
    samples = []
    for position in range(count):
        index = position * len(captures) // count
        groups = tuple(f"{axis}={category}" for axis, category in captures.captures[index].conditions.items)
        samples.append(Sample(graph_inputs(card, graph, captures, index)[0], groups))
    return samples
