# ruff: noqa: D103 - a test's name is its promise
"""The board is what it says, and trusts who it should."""

from __future__ import annotations

import pytest

from firmware_bridge.device.profile import BoardProfile
from firmware_bridge.device.runtime import missing_ops
from firmware_bridge.device.runtime_info import RuntimeInfo
from firmware_bridge.host.board import Board
from firmware_bridge.package.container import PackageFile
from hil.checks.suite_request import SuiteRequest
from hil.measurements.recorder import Recorder


def test_board_names_itself_and_its_runtime(ks_board: Board) -> None:
    info = ks_board.info()
    assert info.board, "the board does not say what kind it is"
    assert info.serial, "the board has no serial number"
    assert info.runtime.ops, f"the board's runtime {info.runtime.name} lists no operation"


def test_board_has_the_power_rails_of_its_profile(ks_board: Board, ks_profile: BoardProfile) -> None:
    rails = ks_board.info().rails
    missing = [rail.label for rail in ks_profile.rails if rail.label not in rails]
    assert not missing, f"the board reports {', '.join(rails) or 'no rail'}; its profile also has {', '.join(missing)}"


def test_board_holds_the_trust_store_of_this_bench(ks_board: Board, ks_request: SuiteRequest) -> None:
    if ks_request.trust is None:
        pytest.skip("no trust store: give one with --ks-trust, or put trust.ksr beside the package")
    store = ks_board.trust()
    assert store, "the board has no trust store; provision it first"
    assert store == ks_request.trust.read_bytes(), f"the board trusts another store than {ks_request.trust.name}"


def test_board_is_of_the_packages_program(ks_board: Board, ks_package: PackageFile) -> None:
    program = ks_package.manifest_unverified.program
    assert ks_board.info().program == program, f"the board is of another program than the package's {program!r}"


def test_board_runs_every_operation_that_the_package_declares(
    ks_board: Board, ks_package: PackageFile, ks_record: Recorder
) -> None:
    runtime: RuntimeInfo = ks_board.info().runtime
    missing = missing_ops(ks_package.manifest_unverified.ops, runtime)
    assert not missing, f"{runtime.name} {runtime.version} does not run {', '.join(missing)}"
