"""Measuring the most sensitive groups on a board: each alone in INT8, as a real graph, signed, pushed and run.

Boards run only signed packages, so the graphs are signed with a waiver that states the purpose. Nothing is confirmed:
the rollback floor is unchanged, the confirmed slot is not written, and the active model is restored afterwards.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from firmware_bridge.errors import InputError
from ks100.steps.packaging import Origin, Release, sign_graph
from models.progress import Progress

if TYPE_CHECKING:
    from firmware_bridge.host.board import Board
    from firmware_bridge.package.signing import Signer
    from models.sensitivity.intervals import Interval
    from models.sensitivity.map import GroupFigures, SensitivityMap
    from models.sensitivity.study import Study

__all__ = ["BoardRequest", "OnBoard", "measure_on_board"]

_WAIVER = "sensitivity measurement, one group quantized; never confirmed"


@dataclass(frozen=True)
class BoardRequest:
    """A measurement on a board.

    Attributes:
        url: the board's address.
        signer: the program's key.
        trust: a signed trust store for an unprovisioned virtual board.
        groups: number of groups.
        frames: number of captures, spread over the first pool.
    """

    url: str
    signer: Signer
    trust: bytes | None
    groups: int
    frames: int


@dataclass(frozen=True, slots=True)
class OnBoard:
    """Divergence of one group alone in INT8, on the board and on this host, for the same graph and frames."""

    group: str
    board: Interval
    host: Interval


def measure_on_board(
    study: Study, found: SensitivityMap, request: BoardRequest, progress: Progress
) -> tuple[OnBoard, ...]:
    """Measure the groups, the most sensitive first.

    Raises:
        InputError: the board is not provisioned.
        RejectedError: it rejects the package, e.g. because the key is not of its program.
        BridgeError: a fault of the board or the link.
    """
    from hil.boards import open_board

    pool = next(iter(study.pools))
    size = len(study.pools[pool])
    count = min(size, request.frames)
    positions = [int(index * size / count) for index in range(count)]
    study = replace(study, pools={pool: study.pools[pool].subset(positions)})
    chosen = sorted(found.groups, key=lambda group: -found.worst(group))[: request.groups]
    with open_board(request.url, trust=request.trust) as board, tempfile.TemporaryDirectory() as folder:
        before = board.info()
        if not before.program:
            raise InputError(f"the board {request.url} is not provisioned; provision it, or give --trust")
        try:
            return _each(study, pool, chosen, board, request.signer, Path(folder), progress)
        finally:
            if before.active:
                board.activate(before.active)


def _each(
    study: Study, pool: str, chosen: Sequence[GroupFigures], board: Board, signer: Signer, folder: Path,
    progress: Progress,
) -> tuple[OnBoard, ...]:  # fmt: skip
    from firmware_bridge.device.graph import Graph
    from firmware_bridge.device.runtime import LiteRt
    from hil.checks.board_session import BoardSession
    from models.planning.trial import run_graph
    from models.quant.plan import Precision, PrecisionPlan, Rule
    from models.quant.produce import produce

    info, measured = board.info(), []
    for number, group in enumerate(chosen):
        progress(number / len(chosen), f"{group.name} on {board.name}")
        plan = PrecisionPlan(Precision.FP32, tuple(Rule(layer, Precision.INT8) for layer in group.layers), group.name)
        model = produce(study.float_tflite, plan, study.ranges, info.runtime.name)
        graph = folder / "group.tflite"
        graph.write_bytes(model)
        release = Release(
            info.program, f"sensitivity-{number + 1}", "0.0.1", max(1, info.floor), info.board, (info.runtime.name,)
        )
        package = sign_graph(graph, release, Origin(plan=plan.digest, waiver=_WAIVER), signer, folder / "group.ksm")
        board.activate(board.push(package).slot)
        there = run_graph(study, pool, BoardSession(board, Graph.parse(model)), model, group.name)
        here = run_graph(study, pool, LiteRt().load(model), model, group.name)
        measured.append(OnBoard(group.name, there.divergence["all"], here.divergence["all"]))
    return tuple(measured)
