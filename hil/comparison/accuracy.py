"""Whether a candidate finds less than the baseline on the same captures: the hard-case gate, on what boards found."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from hil.comparison.changes import Change, Comparison
from hil.errors import EvidenceError
from models.captures import CaptureSet
from models.errors import DataError
from models.evaluation.detections import DETECTIONS_FILE, load_detections
from models.evaluation.gate import GateRow, GateVerdict, PairedEvaluations, judge
from models.evaluation.metrics import evaluate
from models.evaluation.policy import GatePolicy
from models.heads import Detections

__all__ = ["accuracy_of_runs", "accuracy_rows"]

_CHANGES = {
    GateVerdict.PASS: Change.SAME,
    GateVerdict.FAIL: Change.WORSE,
    GateVerdict.INCONCLUSIVE: Change.INCONCLUSIVE,
}


def accuracy_rows(
    before: Sequence[Detections], after: Sequence[Detections], captures: CaptureSet, policy: GatePolicy
) -> tuple[Comparison, ...]:
    """Judge by non-inferiority, overall and by condition category.

    Args:
        before: what the baseline found on the board, one for each capture.
        after: what the candidate found.
        captures: with their truth.
        policy: margins, and how sure the gate must be.
    """
    pair = PairedEvaluations(
        evaluate(captures, before, "baseline on the board"), evaluate(captures, after, "candidate on the board")
    )
    return tuple(_row(row) for row in judge(pair, None, policy).rows if row.required)


def accuracy_of_runs(before: Path, after: Path, captures: CaptureSet, policy: GatePolicy) -> tuple[Comparison, ...]:
    """Judge two runs by what their boards found, as the folders of their results have it.

    Raises:
        EvidenceError: a run kept no detections, or they did not see the same of these captures.
    """
    (ids, one), (other_ids, other) = _on_board(before), _on_board(after)
    position = {capture.id: at for at, capture in enumerate(captures.captures)}
    unknown = [name for name in ids if name not in position]
    if ids != other_ids or unknown:
        raise EvidenceError(f"the two runs did not see the same captures of {captures.name}; give those of both runs")
    return accuracy_rows(one, other, captures.subset([position[name] for name in ids]), policy)


def _on_board(folder: Path) -> tuple[tuple[str, ...], tuple[Detections, ...]]:
    try:
        ids, found = load_detections(folder / DETECTIONS_FILE)
        return ids, found["board"]
    except (DataError, KeyError) as error:
        raise EvidenceError(f"{folder} has no detections of a board to judge accuracy by: {error}") from error


def _row(row: GateRow) -> Comparison:
    difference = row.difference
    note = row.note
    if row.verdict is GateVerdict.INCONCLUSIVE and row.frames_needed and not note:
        note = f"about {row.frames_needed} frames would decide it, there are {difference.frames}"
    lower, upper = difference.lower_points, difference.upper_points
    return Comparison(
        f"AP50, {row.name}", "points", 100 * difference.parent_ap50, 100 * difference.candidate_ap50,
        -upper if math.isfinite(upper) else math.nan, -lower if math.isfinite(lower) else math.nan,
        row.margin_points, _CHANGES[row.verdict], note=note,
    )  # fmt: skip
