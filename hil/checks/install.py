"""The steps that the suite takes with a board before it judges anything: install, measure.

Every fault of a board, link or bench passes through as it is; only a refusal of the package is a result.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph
from firmware_bridge.errors import RejectedError
from firmware_bridge.host.board import Board
from firmware_bridge.package.container import PackageFile
from firmware_bridge.protocol.messages import BoardInfo, Measured
from hil.checks.forgeries import ACCEPTED, FLIPPED_PAYLOAD, attempt
from hil.checks.suite_request import SuiteRequest
from hil.measurements.recorder import Recorder
from hil.measurements.results import PackageFacts, Rejection, Transfer
from hil.measurements.setup import LoopFacts, PoolFacts
from models.captures import CaptureSet
from models.card import ModelCard
from models.card.feed import graph_inputs
from models.evaluation.predict import card_of

__all__ = ["ZEROS", "Installation", "install", "measure", "middle_frame", "package_card", "package_facts", "pool_facts"]

ZEROS = "zeros"
"""What a loop sees without captures."""

_WARMUP_FRAMES = 20


@dataclass(frozen=True)
class Installation:
    """What came of pushing the package.

    Attributes:
        slot: its slot, or ``""``.
        digest: SHA-256 of the graph as the board names it, hex, or ``""``.
        floor: the rollback floor after the confirmation.
        refusal: why the board refused it, or None.
        before: the board's state before.
        flipped: what the board said to the same package with one bit of its payload flipped, tried before; None if
            the board had every chunk already, so that nothing flipped could cross the link.
    """

    slot: str
    digest: str
    floor: int
    refusal: RejectedError | None
    before: BoardInfo
    flipped: Rejection | None


def package_facts(path: Path, package: PackageFile) -> PackageFacts:
    """Return what a person wants to know of a package."""
    data = path.read_bytes()
    manifest = package.manifest_unverified
    return PackageFacts(
        file=path.name,
        file_bytes=len(data),
        file_sha256=hashlib.sha256(data).hexdigest(),
        program=manifest.program,
        model=manifest.model,
        version=manifest.version,
        security_version=manifest.security_version,
        payload_bytes=manifest.payload_bytes,
        payload_sha256=manifest.payload_sha256.hex(),
        ops=manifest.ops,
        npu_ops=manifest.npu_ops,
        gate=manifest.evidence.verdict,
        waiver=manifest.evidence.waiver,
    )


def package_card(package: PackageFile) -> ModelCard:
    """Return the model card that is signed into a package: no other list of classes reads what the board finds.

    A package without one holds a network of the project's own contract.
    """
    return ModelCard.signed_into(package.manifest_unverified) or card_of(Graph.parse(package.payload()))


def install(board: Board, package: PackageFile, record: Recorder) -> Installation:
    """Push, activate and confirm the package; a refusal is returned, not raised."""
    before = board.info()
    flipped = _try_flipped(board, package)
    record.say("pushing the package")
    try:
        wanted = board.missing(package)
        began_s, statistics = time.monotonic(), board.statistics
        wire_before, retries_before = statistics.wire_bytes_sent, statistics.retransmissions
        installed = board.push(package)
        seconds, statistics = time.monotonic() - began_s, board.statistics
        record.say("activating the package")
        board.activate(installed.slot)
        confirmed = board.confirm()
    except RejectedError as error:
        return Installation("", "", before.floor, error, before, flipped)
    payload = package.manifest_unverified.payload_bytes
    wire, retries = statistics.wire_bytes_sent - wire_before, statistics.retransmissions - retries_before
    record.transfer(Transfer(record.results.link, payload, wire, seconds, retries, package.chunk_count, wanted))
    record.board(board.info())
    return Installation(installed.slot, installed.digest, confirmed.floor, None, before, flipped)


def _try_flipped(board: Board, package: PackageFile) -> Rejection | None:
    tried = attempt(board, FLIPPED_PAYLOAD, FLIPPED_PAYLOAD.make(package))
    # A board that has every chunk from before asks for none: it then holds the genuine graph, and was not fooled.
    genuine = package.manifest_unverified.payload_sha256.hex()
    return None if tried.got == ACCEPTED and tried.detail == genuine else tried


def pool_facts(captures: CaptureSet) -> PoolFacts:
    """Return the identity of a pool of captures."""
    return PoolFacts(captures.name, len(captures), captures.digest)


def measure(
    board: Board,
    request: SuiteRequest,
    rate_hz: float,
    record: Recorder,
    frame: tuple[str, Mapping[str, NDArray[Any]]] | None = None,
) -> Measured:
    """Run the paced loop at ``rate_hz`` frames a second, with the rails sampled in the same run.

    Args:
        board: with the model active.
        request: the number of frames, and the idle time before.
        rate_hz: begins a second.
        record: stores the run and its settings.
        frame: id and inputs of the capture that each inference sees; zeros if None.
    """
    record.say(f"measuring {request.loop_frames} frames at {rate_hz:g} Hz")
    name, inputs = frame or (ZEROS, {})
    record.loop(LoopFacts(request.loop_frames, _WARMUP_FRAMES, rate_hz, request.idle_s, "optimised", name))
    measured = board.measure(
        frames=request.loop_frames, warmup=_WARMUP_FRAMES, rate_hz=rate_hz, idle_s=request.idle_s, inputs=inputs
    )
    record.measured(measured)
    return measured


def middle_frame(captures: CaptureSet, graph: Graph, card: ModelCard) -> tuple[str, dict[str, NDArray[Any]]]:
    """Return id and inputs of one capture, the same in every run: what a frame costs may depend on what it shows.

    Raises:
        DataError: the graph's inputs are not those of its card.
    """
    card.check(graph)
    index = len(captures) // 2
    return captures.captures[index].id, graph_inputs(card, graph, captures, index)[0]
