# ruff: noqa: ARG001 - a fixture asks for others for what they have done to the board
"""Fixtures for tests against a board; they do the work of the bench, so that a test only judges.

A board, link or bench that breaks in a fixture is an error of pytest, a limit that fails in a test is a failure. All of
them skip, with a reason that says what to give, when what they need was not given. Heavy modules are imported inside:
pytest loads this file in every run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest

from hil.plugin.stash import RECORDER, REQUEST

if TYPE_CHECKING:
    from firmware_bridge.device.profile import BoardProfile
    from firmware_bridge.host.board import Board
    from firmware_bridge.package.container import PackageFile
    from firmware_bridge.protocol.messages import Measured, RailTrace
    from hil.checks.board_frames import BoardFrames, HardCase
    from hil.checks.install import Installation
    from hil.checks.power import PowerFigures
    from hil.checks.suite_request import SuiteRequest
    from hil.measurements.recorder import Recorder
    from models.captures import CaptureSet
    from models.card import ModelCard

__all__ = [
    "ks_board",
    "ks_board_frames",
    "ks_captures",
    "ks_card",
    "ks_hard_cases",
    "ks_installation",
    "ks_installed",
    "ks_measured",
    "ks_package",
    "ks_power",
    "ks_profile",
    "ks_rails",
    "ks_record",
    "ks_request",
]


@pytest.fixture(scope="session")
def ks_request(pytestconfig: pytest.Config) -> SuiteRequest:
    """What the suite was asked to do."""
    if REQUEST not in pytestconfig.stash:
        pytest.skip("no board: give one with --ks-board emu: (or ssh://user@host, serial:///dev/ks100/SERIAL)")
    return pytestconfig.stash[REQUEST]


@pytest.fixture(scope="session")
def ks_record(pytestconfig: pytest.Config, ks_request: SuiteRequest) -> Recorder:
    """Where figures are recorded and judged."""
    return pytestconfig.stash[RECORDER]


@pytest.fixture(scope="session")
def ks_board(pytestconfig: pytest.Config, ks_request: SuiteRequest, ks_record: Recorder) -> Iterator[Board]:
    """The board, open for the whole run; only a virtual one is provisioned with the trust store."""
    from hil.checks.free_board import open_free_board

    def say(text: str) -> None:
        ks_record.say(text)
        _say(pytestconfig, text)

    trust = None if ks_request.trust is None else ks_request.trust.read_bytes()
    with open_free_board(ks_request.board, trust=trust, wait_s=ks_request.wait_s, say=say) as board:
        ks_record.board(board.info())
        yield board


@pytest.fixture(scope="session")
def ks_profile(ks_board: Board, ks_request: SuiteRequest, ks_record: Recorder) -> BoardProfile:
    """What a board of this kind has to satisfy: the profile of the kind that the board names, unless one was given."""
    from hil.boards import profile_of
    from hil.measurements.requirements import Requirements

    profile = profile_of(ks_board.info().board, ks_request.board, ks_request.profile)
    ks_record.requirements(Requirements.of(profile))
    return profile


@pytest.fixture(scope="session")
def ks_package(ks_request: SuiteRequest, ks_record: Recorder) -> PackageFile:
    """The package under test."""
    from firmware_bridge.package.container import PackageFile
    from hil.checks.install import package_facts

    if ks_request.package is None:
        pytest.skip("no package: give one with --ks-package P.ksm")
    package = PackageFile.open(ks_request.package)
    ks_record.package(package_facts(ks_request.package, package))
    return package


@pytest.fixture(scope="session")
def ks_installation(ks_board: Board, ks_package: PackageFile, ks_record: Recorder) -> Installation:
    """What came of pushing, activating and confirming the package: installed, or refused for a reason."""
    from hil.checks.install import install

    return install(ks_board, ks_package, ks_record)


@pytest.fixture(scope="session")
def ks_installed(ks_installation: Installation) -> Installation:
    """The package, installed, active and confirmed; skips when the board refused it (its own test fails then)."""
    if ks_installation.refusal is not None:
        pytest.skip(f"the package is not installed: {ks_installation.refusal}")
    return ks_installation


@pytest.fixture(scope="session")
def ks_measured(
    request: pytest.FixtureRequest,
    ks_board: Board,
    ks_package: PackageFile,
    ks_installed: Installation,
    ks_profile: BoardProfile,
    ks_request: SuiteRequest,
    ks_record: Recorder,
) -> Measured:
    """One paced run of the active model, on a capture where there are any: latencies and rails on one clock."""
    from firmware_bridge.device.graph import Graph
    from hil.checks.install import measure, middle_frame

    frame = None
    if ks_request.captures is not None:
        captures, card = request.getfixturevalue("ks_captures"), request.getfixturevalue("ks_card")
        frame = middle_frame(captures, Graph.parse(ks_package.payload()), card)
    return measure(ks_board, ks_request, ks_profile.frame_rate_hz, ks_record, frame)


@pytest.fixture(scope="session")
def ks_card(ks_package: PackageFile) -> ModelCard:
    """The model card of the package."""
    from hil.checks.install import package_card

    return package_card(ks_package)


@pytest.fixture(scope="session")
def ks_captures(ks_request: SuiteRequest, ks_card: ModelCard, ks_record: Recorder) -> CaptureSet:
    """The hard-case captures, with the class names of the package's card."""
    from hil.checks.install import pool_facts
    from models.captures import CaptureSet
    from models.card.decodings import Classifier
    from models.card.feed import with_classes
    from models.evaluation.by_frame import with_one_class

    if ks_request.captures is None:
        pytest.skip("no captures: give a folder of hard cases with --ks-captures (ks100 scenes makes one)")
    captures = with_classes(CaptureSet.load(ks_request.captures, "hardware-in-the-loop suite"), ks_card)
    if isinstance(ks_card.decoding, Classifier):
        captures = with_one_class(captures)
    ks_record.pool(pool_facts(captures))
    return captures


@pytest.fixture(scope="session")
def ks_board_frames(
    ks_board: Board,
    ks_package: PackageFile,
    ks_installed: Installation,
    ks_card: ModelCard,
    ks_captures: CaptureSet,
    ks_request: SuiteRequest,
    ks_record: Recorder,
) -> BoardFrames:
    """The hard-case captures run on the board and on the host: outputs decoded to detections."""
    from hil.checks.board_frames import run_frames

    return run_frames(ks_board, ks_package.payload(), ks_card, ks_captures, ks_request, ks_record)


@pytest.fixture(scope="session")
def ks_hard_cases(ks_board_frames: BoardFrames) -> tuple[HardCase, ...]:
    """Each hard case that ran: the capture with its truth, and what board and host found in it."""
    return ks_board_frames.cases


@pytest.fixture(scope="session")
def ks_rails(ks_measured: Measured, ks_profile: BoardProfile) -> dict[str, RailTrace]:
    """The traces of the paced run by rail, those that the board's profile names: times in s, power in mW."""
    labels = {rail.label for rail in ks_profile.rails}
    return {trace.rail: trace for trace in ks_measured.rails if trace.rail in labels}


@pytest.fixture(scope="session")
def ks_power(ks_measured: Measured, ks_profile: BoardProfile) -> PowerFigures:
    """Power and energy of the paced run, idle and loop apart; see its ``defects`` before any number."""
    from hil.checks.power import power_figures

    return power_figures(ks_measured, ks_profile.rails, ks_profile.validity)


def _say(config: pytest.Config, text: str) -> None:
    """Write a line at once, past the capture of pytest."""
    terminal, capture = (config.pluginmanager.getplugin(name) for name in ("terminalreporter", "capturemanager"))
    if terminal is None:
        return
    with capture.global_and_fixture_disabled() if capture is not None else nullcontext():
        terminal.write_line(text)
