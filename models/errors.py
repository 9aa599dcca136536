"""The second floor's errors.

ModelsError
├── DataError          captures or annotations are wrong (the user's data)
├── RecipeError        a recipe, plan or policy is wrong (the user's file)
├── QuantizationError  the graph cannot be produced as the plan asks
└── TrainingError      training went wrong (NaN loss, no progress)
"""

from __future__ import annotations

__all__ = ["DataError", "ModelsError", "QuantizationError", "RecipeError", "TrainingError"]


class ModelsError(Exception):
    """Base of every error that this floor raises; its text is one line that names what, where and what to do."""


class DataError(ModelsError):
    """Captures, annotations or calibration data are wrong."""


class RecipeError(ModelsError):
    """A recipe, plan or policy file is wrong."""


class QuantizationError(ModelsError):
    """The graph cannot be produced as the plan asks, or came out otherwise."""


class TrainingError(ModelsError):
    """Training cannot go on: the loss is not finite, or a checkpoint does not fit."""
