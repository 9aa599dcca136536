"""Errors of this layer.

ModelsError
├── DataError          invalid captures or annotations (the user's data)
├── RecipeError        an invalid recipe, plan or policy (the user's file)
├── QuantizationError  the graph cannot be produced according to the plan
└── TrainingError      training failed (NaN loss, no progress)
"""

from __future__ import annotations

__all__ = ["DataError", "ModelsError", "QuantizationError", "RecipeError", "TrainingError"]


class ModelsError(Exception):
    """Base of this layer's errors; the text is one line with the cause, the place and the remedy."""


class DataError(ModelsError):
    """Invalid captures, annotations or calibration data."""


class RecipeError(ModelsError):
    """An invalid recipe, plan or policy file."""


class QuantizationError(ModelsError):
    """The graph cannot be produced according to the plan, or differs from it."""


class TrainingError(ModelsError):
    """Training cannot continue: the loss is not finite, or a checkpoint does not match."""
