"""The model card: how frames become a graph's inputs, and its outputs detections of named classes."""

from models.card.card import CARD_SUFFIX, CardInput, ModelCard

__all__ = ["CARD_SUFFIX", "CardInput", "ModelCard"]
