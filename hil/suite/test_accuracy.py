# ruff: noqa: D103 - a test's name is its promise
"""What the board finds on hard cases is what the host finds with the same graph."""

from __future__ import annotations

import numpy as np
import pytest

from hil.checks.board_frames import BoardFrames
from hil.measurements.accuracy import accuracy_record
from hil.measurements.measurement import Better, Limit, Margin, Varies
from hil.measurements.recorder import Recorder
from models.card import ModelCard
from models.evaluation.by_frame import evaluate_found
from models.evaluation.operating_point import false_alarms, kept_recall
from models.heads import Detections

# Kernels of another processor differ by some integer steps, which moves a score across a threshold now and then.
_AGREEMENT = Limit(low=-0.5, high=0.5, why="the same graph on the host")


@pytest.mark.ks_tier("ci")
@pytest.mark.ks_figures("hard_ap50_board", "hard_ap50_board_minus_host")
def test_hard_case_accuracy_on_the_board_is_the_hosts(
    ks_card: ModelCard, ks_board_frames: BoardFrames, ks_record: Recorder
) -> None:
    captures, n, note = ks_board_frames.captures, len(ks_board_frames.captures), ks_board_frames.limited
    if not ks_card.detects:
        pytest.skip("the package's card decodes nothing (raw): its outputs are compared by the parity checks")
    board = evaluate_found(ks_card, captures, ks_board_frames.board, "on the board")
    host = evaluate_found(ks_card, captures, ks_board_frames.host, "same graph, host")
    # A part of a pool is another pool: its figures must not stand beside those of the whole.
    pool = f"{captures.name}, {n} frames" if note else captures.name
    for evaluation in (board, host):
        ks_record.accuracy(accuracy_record(evaluation, pool=pool))
    ks_record.figure(
        "hard_ap50_board",
        100 * board.ap50,
        "points",
        n=n,
        note=note,
        better=Better.HIGHER,
        margin=Margin(0.0, 1.0),
        varies=Varies.FRAMES,
    )
    ks_record.figure("hard_ap50_host", 100 * host.ap50, "points", n=n, note=note)
    if (point := ks_card.operating_point) is not None:
        at = f"at the signed score {point.score:.3f}, fitted for a recall of {point.recall:.0%} in each condition"
        recall, alarms = kept_recall(board, point.score), false_alarms(board, point.score)
        ks_record.figure("hard_recall_board", recall, "1", n=n, note=at, better=Better.HIGHER, varies=Varies.FRAMES)
        ks_record.figure("hard_false_alarms_board", alarms, "1/frame", n=n, note=at)
    same = sum(_equal(one, other) for one, other in zip(ks_board_frames.board, ks_board_frames.host, strict=True))
    ks_record.figure("hard_frames_identical", same / n, "1", n=n, note="share of frames with the very same detections")
    difference = 100 * (board.ap50 - host.ap50)
    ks_record.require(
        ks_record.figure("hard_ap50_board_minus_host", difference, "points", limit=_AGREEMENT, n=n, note=note)
    )


def _equal(one: Detections, other: Detections) -> bool:
    return (
        np.array_equal(one.boxes, other.boxes)
        and np.array_equal(one.scores, other.scores)
        and np.array_equal(one.classes, other.classes)
    )
