# ruff: noqa: D103 - a test's name is its promise
"""The board is in order: nothing in it has failed, its log is whole, and it answers at once."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from firmware_bridge.host.board import Board
from hil.measurements.measurement import Subject
from hil.measurements.recorder import Recorder

_QUESTIONS = 20


def test_no_slot_of_the_board_has_failed(ks_board: Board) -> None:
    failed = [slot.name for slot in ks_board.info().slots if slot.state == "failed"]
    assert not failed, f"slot {', '.join(failed)} failed its trial or does not verify any more; push a package to it"


def test_audit_log_of_the_board_is_whole(ks_board: Board) -> None:
    entries = ks_board.audit()
    indices = [entry.index for entry in entries]
    gaps = [after for before, after in pairwise(indices) if after != before + 1]
    assert not gaps, f"the audit log lacks what came before entry {gaps[0]}"


@pytest.mark.ks_figures("round_trip")
def test_board_answers_a_question_at_once(ks_board: Board, ks_record: Recorder) -> None:
    took_ms = []
    for _ in range(_QUESTIONS):
        began_s = time.monotonic()
        ks_board.info()
        took_ms.append(1e3 * (time.monotonic() - began_s))
    note = f"median of {_QUESTIONS} questions; the slowest took {max(took_ms):.3g} ms"
    ks_record.figure(
        "round_trip", sorted(took_ms)[_QUESTIONS // 2], "ms", n=_QUESTIONS, note=note, subject=Subject.LINK
    )
