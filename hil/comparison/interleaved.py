"""A baseline and a candidate on one board, in turns: A B, B A, A B, ... until every figure is decided.

Both are installed once; each leg begins with the activation of its slot, as a run does. Nothing is confirmed but the
baseline, so that the board falls back to it whatever happens.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from firmware_bridge.device.profile import BoardProfile
from firmware_bridge.errors import BridgeError, RejectedError
from firmware_bridge.host.board import Board
from firmware_bridge.package.container import PackageFile
from firmware_bridge.protocol.messages import BoardInfo
from hil.comparison.blocks import Block, LegFigure, is_decided, judge_blocks
from hil.comparison.changes import Comparison, verdict_of
from hil.comparison.legs import leg_figures
from hil.comparison.policy import ComparisonPolicy
from hil.errors import EvidenceError
from hil.measurements.results import SuiteVerdict
from models.records import RecordFile, derived

__all__ = ["COMPARISON_FILE", "BlockComparison", "LegLoop", "Side", "both_installed", "compare_on_board"]

COMPARISON_FILE = "comparison.json"


@dataclass(frozen=True, slots=True)
class LegLoop:
    """How each leg runs: counted frames, those before them, and seconds of idle before the loop."""

    frames: int = 200
    warmup: int = 10
    idle_s: float = 0.5


@dataclass(frozen=True)
class Side:
    """One of the two on the board: its slot, and what each of its frames sees; zeros if None."""

    slot: str
    inputs: Mapping[str, NDArray[Any]] | None = None


@dataclass(frozen=True, slots=True)
class BlockComparison:
    """A candidate against a baseline, block by block.

    Attributes:
        rows: one for each figure, after the last block.
        blocks: what the legs measured.
        most: how many blocks it might have taken.
        loop: how each leg ran.
        board: which board it was.
        started_s: when, seconds since 1970.
        same_graph: whether both packages have the very same graph.
    """

    rows: tuple[Comparison, ...]
    blocks: tuple[Block, ...]
    most: int
    loop: LegLoop
    board: BoardInfo
    started_s: float
    same_graph: bool

    @property
    def verdict(self) -> SuiteVerdict:
        """FAIL if a figure is worse, INCONCLUSIVE if any is open."""
        return verdict_of(self.rows)

    def save(self, folder: Path) -> None:
        """Write ``comparison.json`` into ``folder``."""
        FILE.save(self, folder / COMPARISON_FILE)

    @classmethod
    def load(cls, folder: Path) -> BlockComparison:
        """Read what `save` wrote.

        Raises:
            EvidenceError: there is none, or it is damaged.
        """
        return FILE.load(folder / COMPARISON_FILE)


FILE = RecordFile(BlockComparison, "a comparison by blocks", 1, "compare again", EvidenceError)
derived(BlockComparison, "verdict")


def compare_on_board(
    board: Board,
    sides: tuple[Side, Side],
    profile: BoardProfile,
    policy: ComparisonPolicy,
    *,
    most: int,
    loop: LegLoop,
    progress: Callable[[int, tuple[Comparison, ...]], None] | None = None,
) -> BlockComparison:
    """Run blocks until every figure is decided, one is worse, or there are as many as allowed.

    Args:
        board: which has both packages.
        sides: baseline and candidate, in the slots that `both_installed` gives.
        profile: of the board.
        policy: margins and confidence.
        most: blocks.
        loop: how each leg runs.
        progress: called after each block with their number and what is known.
    """
    info, started_s = board.info(), time.time()
    digests = {slot.name: slot.digest for slot in info.slots}
    blocks: list[Block] = []
    rows: tuple[Comparison, ...] = ()
    while len(blocks) < most and not (len(blocks) > 1 and is_decided(rows)):
        candidate_first = len(blocks) % 2 == 1
        order = sides[::-1] if candidate_first else sides
        legs = [_leg(board, side, profile, loop) for side in order]
        before, after = legs[::-1] if candidate_first else legs
        blocks.append(Block(before, after, candidate_first))
        rows = judge_blocks(blocks, policy)
        if progress is not None:
            progress(len(blocks), rows)
    same = digests[sides[0].slot] == digests[sides[1].slot]
    return BlockComparison(rows, tuple(blocks), most, loop, info, started_s, same)


@contextmanager
def both_installed(board: Board, baseline: PackageFile, candidate: PackageFile) -> Iterator[tuple[str, str]]:
    """Install both packages, and give their slots; afterwards the baseline is active and confirmed.

    A package that a slot has already is not pushed again.

    Raises:
        RejectedError: the board refuses one of them.
        EvidenceError: the two are of different programs.
    """
    one, other = (package.manifest_unverified for package in (baseline, candidate))
    if one.program != other.program:
        raise EvidenceError(f"packages of different programs are not compared: {one.program} and {other.program}")
    before = _installed(board, baseline, "baseline")
    board.activate(before)
    board.confirm()
    after = before if one.payload_sha256 == other.payload_sha256 else _installed(board, candidate, "candidate")
    try:
        yield before, after
    finally:
        with contextlib.suppress(BridgeError):  # a board that broke says so by what it was asked before
            board.activate(before)


def _installed(board: Board, package: PackageFile, role: str) -> str:
    manifest = package.manifest_unverified
    digest = manifest.payload_sha256.hex()
    usable = (slot.name for slot in board.info().slots if slot.digest == digest and slot.state != "failed")
    try:
        return next(usable, "") or board.push(package).slot
    except RejectedError as error:
        which = f"the {role}, {manifest.model} {manifest.version}"
        raise RejectedError(error.reason, f"{which}: {error.detail}") from error


def _leg(board: Board, side: Side, profile: BoardProfile, loop: LegLoop) -> dict[str, LegFigure]:
    board.activate(side.slot)
    measured = board.measure(
        frames=loop.frames, warmup=loop.warmup, rate_hz=profile.frame_rate_hz, idle_s=loop.idle_s, inputs=side.inputs
    )
    return leg_figures(measured, profile)
