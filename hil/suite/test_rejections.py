# ruff: noqa: D103 - a test's name is its promise
"""What must not run is refused, for the right reason, and the active model stays."""

from __future__ import annotations

import numpy as np
import pytest

from firmware_bridge.device.graph import Graph
from firmware_bridge.host.board import Board
from firmware_bridge.package.container import PackageFile
from hil.checks.forgeries import FLIPPED_PAYLOAD, FORGERIES, Forgery, attempt
from hil.checks.install import Installation
from hil.checks.suite_request import SuiteRequest
from hil.measurements.recorder import Recorder
from hil.measurements.results import Rejection
from hil.plugin.stash import REQUEST


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Try each given package that must be refused; one case that skips when none is given."""
    if "refused_reason" in metafunc.fixturenames:
        request: SuiteRequest | None = metafunc.config.stash.get(REQUEST, None)
        given = () if request is None else request.refuse
        metafunc.parametrize("refused_reason", [reason.code for reason, _ in given] or ["none-given"])


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.case)
def test_forgery_is_refused(
    forgery: Forgery, ks_board: Board, ks_package: PackageFile, ks_installed: Installation, ks_record: Recorder
) -> None:
    rejection = attempt(ks_board, forgery, forgery.make(ks_package))
    ks_record.rejection(rejection)
    _judge(rejection)


def test_flipped_payload_is_refused(ks_installed: Installation, ks_record: Recorder) -> None:
    if ks_installed.flipped is None:
        pytest.skip("the board has every chunk of this package already, so no flipped one crosses; use a fresh board")
    ks_record.rejection(ks_installed.flipped)
    _judge(ks_installed.flipped)


def test_given_package_is_refused(
    refused_reason: str, ks_board: Board, ks_installed: Installation, ks_request: SuiteRequest, ks_record: Recorder
) -> None:
    found = next(((reason, path) for reason, path in ks_request.refuse if reason.code == refused_reason), None)
    if found is None:
        pytest.skip("no further package: give one with --ks-refuse, e.g. rollback=old.ksm or program=other.ksm")
    reason, path = found
    package = PackageFile.open(path)
    forgery = Forgery(f"{reason.code}-given", f"{path.name}, which must be refused", (reason,), FLIPPED_PAYLOAD.make)
    rejection = attempt(ks_board, forgery, package)
    ks_record.rejection(rejection)
    _judge(rejection)


def test_active_model_still_runs_after_the_refusals(
    ks_board: Board, ks_package: PackageFile, ks_installed: Installation
) -> None:
    graph = Graph.parse(ks_package.payload())
    outputs = ks_board.infer({t.name: np.zeros(t.shape, t.dtype) for t in graph.inputs}).outputs
    assert outputs.keys() == {tensor.name for tensor in graph.outputs}


def test_board_logs_every_refusal(ks_board: Board, ks_installed: Installation, ks_record: Recorder) -> None:
    if not ks_record.results.rejections:
        pytest.skip("nothing was refused in this run; run the refusals with it")
    logged = " ".join(f"{entry.action} {entry.result}" for entry in ks_board.audit())
    missing = {item.got for item in ks_record.results.rejections if item.got not in logged}
    assert not missing, f"the board's audit log lacks the refusals for {', '.join(sorted(missing))}"


def _judge(rejection: Rejection) -> None:
    wanted = " or ".join(rejection.expected)
    assert rejection.got in rejection.expected, f"{rejection.case}: {rejection.got}, expected {wanted}"
    assert rejection.slot_unchanged, f"{rejection.case}: refused, but the active slot is not what it was"
