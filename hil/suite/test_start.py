# ruff: noqa: D103 - a test's name is its promise
"""A model that is not loaded answers soon, and a frame's way over the link counts too."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph
from firmware_bridge.host.board import Board
from firmware_bridge.package.container import PackageFile
from hil.checks.board_frames import frames_for_link
from hil.checks.install import Installation
from hil.checks.suite_request import SuiteRequest
from hil.measurements.measurement import Subject
from hil.measurements.recorder import Recorder

_STARTS = 5
_FRAMES = 20


@pytest.mark.ks_tier("ci")
@pytest.mark.ks_figures("cold_start")
def test_cold_start_has_a_time(
    ks_board: Board, ks_package: PackageFile, ks_installed: Installation, ks_record: Recorder
) -> None:
    zeros = _zeros(ks_package)
    took_ms = [_timed_ms(lambda: (ks_board.activate(ks_installed.slot), ks_board.infer(zeros))) for _ in range(_STARTS)]
    note = f"verify, load, trial run and first answer, on the host's clock; median of {_STARTS}"
    ks_record.figure("cold_start", sorted(took_ms)[_STARTS // 2], "ms", n=_STARTS, note=note, subject=Subject.LINK)


@pytest.mark.ks_tier("ci")
@pytest.mark.ks_figures("end_to_end")
def test_end_to_end_has_a_time_with_the_frames_transfer(
    ks_board: Board, ks_package: PackageFile, ks_installed: Installation, ks_request: SuiteRequest, ks_record: Recorder
) -> None:
    count, _ = frames_for_link(ks_request, Graph.parse(ks_package.payload()), _FRAMES)
    zeros = _zeros(ks_package)
    took_ms = [_timed_ms(lambda: ks_board.infer(zeros)) for _ in range(count)]
    note = f"frame to the board, inference, outputs back over {ks_record.results.link}; median of {count}"
    ks_record.figure("end_to_end", sorted(took_ms)[count // 2], "ms", n=count, note=note, subject=Subject.LINK)


def _zeros(package: PackageFile) -> dict[str, NDArray[Any]]:
    return {t.name: np.zeros(t.shape, t.dtype) for t in Graph.parse(package.payload()).inputs}


def _timed_ms(work: Callable[[], object]) -> float:
    began_s = time.monotonic()
    work()
    return 1e3 * (time.monotonic() - began_s)
