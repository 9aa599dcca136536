"""The pools (splits) and their purposes. No scene is in two pools."""

from __future__ import annotations

from enum import StrEnum

__all__ = ["SEALED", "Pool"]


class Pool(StrEnum):
    """A pool; the value is the name of its folder."""

    TRAIN = "train"
    """For training, and the source of mined hard cases, whose scenes then leave it."""
    CALIBRATION = "calibration"
    """For activation ranges only."""
    VALIDATION = "validation"
    """Field-like: for early stopping and choosing plans."""
    CONDITIONS = "conditions"
    """Field-like, for verdicts by condition only: no early stopping, no choice of plans."""
    OOD = "ood"
    """Out of distribution: weather and sensor faults that are in no other pool (`models.scenes.ood`)."""
    HARD_DEV = "hard-dev"
    """Hard cases for development: choosing plans, thresholds and recipes."""
    HARD_HOLDOUT = "hard-holdout"
    """Hard cases for verdicts only; sealed, so that each use is logged."""


SEALED = frozenset({Pool.HARD_HOLDOUT})
"""Pools that are sealed when they are stored."""
