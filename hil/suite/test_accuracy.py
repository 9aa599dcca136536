# ruff: noqa: D103 - a test's name is its promise
"""What the board finds on hard cases is what the host finds with the same graph."""

from __future__ import annotations

from models.evaluation.metrics import evaluate

from hil.accuracy import accuracy_record
from hil.board_frames import BoardFrames
from hil.measurement import Limit
from hil.recorder import Recorder

# Kernels of another processor differ by some integer steps, which moves a score across a threshold now and then.
_AGREEMENT = Limit(low=-0.5, high=0.5, why="the same graph on the host")


def test_hard_case_accuracy_on_the_board_is_the_hosts(ks_board_frames: BoardFrames, ks_record: Recorder) -> None:
    captures, n = ks_board_frames.captures, len(ks_board_frames.captures)
    board = evaluate(captures, ks_board_frames.board, "board")
    host = evaluate(captures, ks_board_frames.host, "host")
    ks_record.accuracy(accuracy_record(board, captures.name))
    ks_record.accuracy(accuracy_record(host, captures.name))
    note = ks_board_frames.limited
    ks_record.figure("hard_ap50_board", 100 * board.ap50, "points", n=n, note=note)
    ks_record.figure("hard_ap50_host", 100 * host.ap50, "points", n=n, note=note)
    difference = 100 * (board.ap50 - host.ap50)
    ks_record.require(
        ks_record.figure("hard_ap50_board_minus_host", difference, "points", limit=_AGREEMENT, n=n, note=note)
    )
