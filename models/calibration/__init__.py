"""Calibration sets: drawn so that every condition is covered, and checked against what a graph will meet."""

from models.calibration.activations import ActivationReport, TensorReport, compare_activations
from models.calibration.coverage import CategoryCoverage, Coverage, coverage
from models.calibration.draw import draw_calibration

__all__ = [
    "ActivationReport", "CategoryCoverage", "Coverage", "TensorReport", "compare_activations", "coverage",
    "draw_calibration",
]  # fmt: skip
