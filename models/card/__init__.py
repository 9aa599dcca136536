"""The model card: how frames become a graph's inputs, and its outputs detections of named classes."""

from models.card.card import CARD_SUFFIX, CardInput, ModelCard
from models.card.operating_point import OperatingPoint

__all__ = ["CARD_SUFFIX", "CardInput", "ModelCard", "OperatingPoint"]
