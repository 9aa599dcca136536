"""A candidate against a baseline's package: blocks on one board, then the suite on the candidate, on the same board."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from firmware_bridge.device.graph import Graph
from firmware_bridge.host.address import BoardAddress, VirtualAddress
from firmware_bridge.host.board import Board
from firmware_bridge.package.container import PackageFile
from hil.boards import host_name, open_board, profile_of, reachable
from hil.checks.board_frames import choose_frames
from hil.checks.board_session import BoardSession
from hil.checks.install import middle_frame, package_card
from hil.checks.suite_request import SuiteRequest
from hil.comparison.accuracy import accuracy_of_runs
from hil.comparison.changes import Comparison
from hil.comparison.comparable import Difference
from hil.comparison.interleaved import COMPARISON_FILE, BlockComparison, LegLoop, Side, both_installed, compare_on_board
from hil.comparison.policy import ComparisonPolicy
from hil.comparison.runs import RunComparison
from hil.errors import ResultsError
from hil.measurements.results import HilResults
from hil.measurements.results_folder import hold_results
from hil.report.junit import JUNIT_FILE, write_results_junit
from models.captures import CaptureSet
from models.card.feed import with_classes
from models.evaluation.detections import DETECTIONS_FILE, save_detections
from models.evaluation.predict import predict

__all__ = ["BASELINE_FOLDER", "BlockPlan", "joined", "one_board", "run_blocks"]

BASELINE_FOLDER = "baseline"
"""In the results folder: what the board found with the baseline."""


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """What a comparison by blocks needs.

    Attributes:
        baseline: the package to compare with.
        candidate: the package in question.
        trust: the signed trust store, for a virtual board that has none.
        captures: the hard cases, or None: legs then run on zeros, and accuracy is not compared.
        frames: most captures for accuracy; chosen by the link's speed if None.
        profile: the board's profile, a name or a TOML file; that of the kind that it names if None.
        policy: margins and confidence.
        most: blocks.
        loop: how each leg runs.
    """

    baseline: PackageFile
    candidate: PackageFile
    trust: bytes
    captures: CaptureSet | None
    frames: int | None
    profile: str | None
    policy: ComparisonPolicy
    most: int
    loop: LegLoop = LegLoop()  # noqa: RUF009 - a frozen value


def run_blocks(url: str, plan: BlockPlan, folder: Path, progress: Callable[[float, str], None]) -> BlockComparison:
    """Compare on the board at ``url``; the comparison, and what the baseline found, are kept in ``folder``.

    Until the suite has run, the folder's results say INCOMPLETE.

    Raises:
        RejectedError: the board refuses one of the packages.
        EvidenceError: they are of different programs.
        ResultsError: the results cannot be written.
        BridgeError, SuiteError: as for opening a board and its profile.
    """
    with hold_results(folder, host_name()):
        try:
            blank = HilResults(url, SuiteRequest(url).link, time.time())
            write_results_junit(blank, blank.save(folder).with_name(JUNIT_FILE))
            (folder / COMPARISON_FILE).unlink(missing_ok=True)
            return _run(url, plan, folder, progress)
        except OSError as error:
            raise ResultsError(f"results cannot be written to {folder}: {error.strerror}") from error


def _run(url: str, plan: BlockPlan, folder: Path, progress: Callable[[float, str], None]) -> BlockComparison:

    def done(count: int, rows: tuple[Comparison, ...]) -> None:
        undecided = sum(row.change.value == "inconclusive" for row in rows)
        progress(count / plan.most, f"block {count} of at most {plan.most}: {undecided} of {len(rows)} figures open")

    with open_board(url, trust=plan.trust) as board:
        profile = profile_of(board.info().board, url, plan.profile)
        progress(0.0, "installing both packages")
        with both_installed(board, plan.baseline, plan.candidate) as slots:
            sides = _side(slots[0], plan.baseline, plan), _side(slots[1], plan.candidate, plan)
            found = compare_on_board(
                board, sides, profile, plan.policy, most=plan.most, loop=plan.loop, progress=done
            )  # fmt: skip
        found.save(folder)
        if plan.captures is not None and not found.same_graph:
            progress(1.0, "running the captures on the baseline")
            _baseline_frames(board, url, plan, plan.captures, folder / BASELINE_FOLDER)
    return found


def joined(blocks: BlockComparison, suite: HilResults, plan: BlockPlan, folder: Path) -> RunComparison:
    """Return blocks, accuracy and the suite's own verdict as one comparison.

    Raises:
        EvidenceError: the suite kept no detections.
    """
    rows = blocks.rows
    if plan.captures is not None and not blocks.same_graph and suite.measurement("hard_ap50_board") is not None:
        captures = with_classes(plan.captures, package_card(plan.candidate))
        rows += accuracy_of_runs(folder / BASELINE_FOLDER, folder, captures, plan.policy.accuracy)
    over = tuple(filter(None, map(plan.policy.over_limit, suite.measurements)))
    differences = () if blocks.same_graph else (Difference("package", _named(plan.baseline), _named(plan.candidate)),)
    return RunComparison(rows, differences, (), over, suite.verdict)


def _named(package: PackageFile) -> str:
    manifest = package.manifest_unverified
    return f"{manifest.model} {manifest.version} ({manifest.payload_sha256.hex()[:12]})"


@contextmanager
def one_board(url: str) -> Iterator[str]:
    """Give an address that means the same board each time, also where ``url`` means a fresh one."""
    address = BoardAddress.parse(url)
    if not (isinstance(address, VirtualAddress) and address.is_ephemeral):
        yield url
        return
    folder = Path(tempfile.mkdtemp(prefix="ks100-board-"))
    try:
        kept = replace(address, path=folder)
        with reachable(kept, create=True):
            yield kept.url
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _side(slot: str, package: PackageFile, plan: BlockPlan) -> Side:
    if plan.captures is None:
        return Side(slot)
    return Side(slot, middle_frame(plan.captures, Graph.parse(package.payload()), package_card(package))[1])


def _baseline_frames(board: Board, url: str, plan: BlockPlan, captures: CaptureSet, folder: Path) -> None:
    graph, card = Graph.parse(plan.baseline.payload()), package_card(plan.baseline)
    chosen, _ = choose_frames(with_classes(captures, card), SuiteRequest(url, frames=plan.frames), graph)
    found = predict(BoardSession(board, graph), chosen, card=card)
    folder.mkdir(parents=True, exist_ok=True)
    save_detections(folder / DETECTIONS_FILE, [capture.id for capture in chosen.captures], {"board": found})
