# ruff: noqa: D103 - a test's name is its promise
"""With the reference kernels the board's integers are the host's, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_bridge.device.graph import Graph
from firmware_bridge.device.runtime import Kernels, Session, default_runtime
from firmware_bridge.errors import BenchError
from firmware_bridge.host.board import Board
from firmware_bridge.package.container import PackageFile
from hil.checks.board_frames import noise, spread
from hil.checks.board_session import BoardSession, Comparison
from hil.checks.install import Installation
from hil.measurements.measurement import Limit, Source
from hil.measurements.recorder import Recorder
from models.captures import CaptureSet
from models.card import ModelCard
from models.evaluation.predict import predict

_FRAMES = 4
_SEED = 20
# The reference kernels are plain loops, but their float constants differ between processors: 2 to 9 steps were seen
# between x86-64 and aarch64, and none on one of them.
_STEPS = {Source.EMULATED: 0, Source.CLAIMED: 9, Source.HARDWARE: 9}


@pytest.fixture
def comparison(ks_board: Board, ks_package: PackageFile, ks_installed: Installation) -> Comparison:
    payload, runtime = ks_package.payload(), ks_board.info().runtime.name
    try:
        host: Session = default_runtime(runtime).load(payload, Kernels.REFERENCE)
    except BenchError as error:
        pytest.skip(f"the host lacks the board's runtime {runtime}: {error}")
    return Comparison(BoardSession(ks_board, Graph.parse(payload), Kernels.REFERENCE), host)


@pytest.mark.ks_figures("parity_noise_largest")
def test_outputs_are_the_hosts_on_noise(comparison: Comparison, ks_record: Recorder) -> None:
    random = np.random.default_rng(_SEED)
    for _ in range(2):
        comparison.run({tensor.name: noise(random, tensor.dtype, tensor.shape) for tensor in comparison.graph.inputs})
    _judge(comparison, ks_record, "parity_noise")


@pytest.mark.ks_tier("ci")
@pytest.mark.ks_figures("parity_hard_largest")
def test_outputs_are_the_hosts_on_hard_cases(
    comparison: Comparison, ks_card: ModelCard, ks_captures: CaptureSet, ks_record: Recorder
) -> None:
    count = min(_FRAMES, len(ks_captures))
    predict(comparison, ks_captures.subset(spread(len(ks_captures), count)), card=ks_card)
    _judge(comparison, ks_record, "parity_hard")


def _judge(comparison: Comparison, record: Recorder, name: str) -> None:
    limit = Limit(high=_STEPS[record.source], why="reference kernels")
    note = f"{comparison.differing} of {comparison.elements} output values differ, {comparison.runs} frames"
    record.require(
        record.figure(
            f"{name}_largest", comparison.largest_steps, "steps", limit=limit, n=comparison.elements, note=note
        )
    )
