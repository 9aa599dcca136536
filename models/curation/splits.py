"""Which pools there are, and what each may be used for. No scene is in two of them."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["SEALED", "Pool"]


class Pool(StrEnum):
    """A pool; the value is its folder's name."""

    TRAIN = "train"
    """Trained on, and mined for hard cases (which then leave it, scene by scene)."""
    CALIBRATION = "calibration"
    """Ranges of activations are measured on it, and nothing else."""
    VALIDATION = "validation"
    """As met in the field: stops trainings, chooses plans."""
    CONDITIONS = "conditions"
    """As met in the field, for the verdict on each condition: no training is stopped and no plan chosen by it."""
    OOD = "ood"
    """Weather and sensor faults that no other pool shows (`models.scenes.ood`): out of distribution."""
    HARD_DEV = "hard-dev"
    """Hard cases to look at, and to choose plans, thresholds and recipes by."""
    HARD_HOLDOUT = "hard-holdout"
    """Hard cases for verdicts alone; sealed, so that each use of it is on record."""


SEALED = frozenset({Pool.HARD_HOLDOUT})
"""Pools that are sealed when they are stored."""
