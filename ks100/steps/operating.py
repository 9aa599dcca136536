"""The candidate's model card in a run: that of its float parent, with an operating point of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from models.card import ModelCard
from models.errors import DataError
from models.evaluation.evaluation import Evaluation
from models.evaluation.operating_point import fit_operating_point

__all__ = ["CONFIDENCE", "RECALL", "write_card"]

RECALL, CONFIDENCE = 0.7, 0.95
"""What the demo promises: the mean over scenes of the fraction of objects found, in each condition."""


def write_card(evaluation: Path, parent_card: Path, out: Path) -> str:
    """Write the card with the operating point that ``evaluation`` allows; without one where it allows none.

    Returns:
        One line on the threshold, or on why there is none.
    """
    card = ModelCard.load(parent_card)
    try:
        point = fit_operating_point(Evaluation.load(evaluation), RECALL, CONFIDENCE)
    except DataError as error:
        replace(card, operating_point=None).save(out)
        return f"no threshold: {error}"
    replace(card, operating_point=point).save(out)
    return f"score {point.score:.3f} keeps a recall of {RECALL:.0%} in each condition, confidence {CONFIDENCE:.0%}"
