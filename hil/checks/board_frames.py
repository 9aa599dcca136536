"""Running captures on a board: how many fit the link, and what board and host found in them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph
from firmware_bridge.device.runtime import Session, default_runtime
from firmware_bridge.host.address import DEFAULT_BAUD, BoardAddress, SerialAddress
from firmware_bridge.host.board import Board
from hil.checks.board_session import BoardSession
from hil.checks.free_board import claim
from hil.checks.suite_request import SuiteRequest
from hil.measurements.recorder import Recorder
from models.captures import Capture, CaptureSet
from models.card import ModelCard
from models.evaluation.detections import DETECTIONS_FILE, save_detections
from models.evaluation.predict import predict
from models.heads import Detections

__all__ = [
    "BoardFrames", "HardCase", "choose_frames", "frames_for_link", "noise", "run_frames", "spread",
]  # fmt: skip

# A bench's patience: what frames may take on a serial line, so that the whole suite stays under some minutes.
_SERIAL_BUDGET_S = 45.0
_KEEP_S = 5.0
# 8N1 carries a byte in ten bits; the rest is framing and turnaround.
_SERIAL_SHARE = 0.85


@dataclass(frozen=True)
class HardCase:
    """One capture, and what the board and the host found in it with the same graph."""

    capture: Capture
    board: Detections
    host: Detections


@dataclass(frozen=True)
class BoardFrames:
    """What board and host found in the same captures, with the same graph and the runtime's fastest kernels.

    Attributes:
        captures: the captures that ran.
        board: detections on the board, one for each capture.
        host: detections on the host.
        limited: why fewer than all captures ran, or ``""``.
    """

    captures: CaptureSet
    board: tuple[Detections, ...]
    host: tuple[Detections, ...]
    limited: str

    @property
    def cases(self) -> tuple[HardCase, ...]:
        """The captures one by one."""
        rows = zip(self.captures.captures, self.board, self.host, strict=True)
        return tuple(HardCase(capture, board, host) for capture, board, host in rows)


def frames_for_link(request: SuiteRequest, graph: Graph, available: int) -> tuple[int, str]:
    """Return how many of the ``available`` captures to run, and why not all, or ``""``."""
    if request.frames is not None:
        count = min(available, request.frames)
        return count, "" if count == available else f"{count} of {available} captures, limited by --ks-frames"
    baud = _baud(request.board)
    if baud is None:
        return available, ""
    frame_bytes = sum(tensor.size_bytes for tensor in (*graph.inputs, *graph.outputs))
    count = max(2, min(available, int(_SERIAL_BUDGET_S * baud / 10 * _SERIAL_SHARE / frame_bytes)))
    if count == available:
        return count, ""
    return count, f"{count} of {available} captures, what {baud} baud carry in {_SERIAL_BUDGET_S:.0f} s (--ks-frames)"


def spread(available: int, count: int) -> list[int]:
    """Return ``count`` positions spread evenly over ``available``, ascending: neighbours are often of one scene."""
    return sorted({round((i + 0.5) * available / count - 0.5) for i in range(count)})


def choose_frames(captures: CaptureSet, request: SuiteRequest, graph: Graph) -> tuple[CaptureSet, str]:
    """Return the captures to run, spread over the set, and why not all, or ``""``; the same for like graphs."""
    count, limited = frames_for_link(request, graph, len(captures))
    return captures if count == len(captures) else captures.subset(spread(len(captures), count)), limited


def run_frames(
    board: Board, payload: bytes, card: ModelCard, captures: CaptureSet, request: SuiteRequest, record: Recorder
) -> BoardFrames:
    """Run captures on the board and on the host; ``card`` says how frames go in and what comes out."""
    graph = Graph.parse(payload)
    chosen, limited = choose_frames(captures, request, graph)
    count, finished = len(chosen), 0

    def done() -> None:
        nonlocal finished
        finished += 1
        if finished % 10 == 0 or finished == count:
            record.say(f"{finished} of {count} captures ran on the board")

    on_board = predict(BoardSession(board, graph, done=done), chosen, card=card)
    host = _HostSession(default_runtime(board.info().runtime.name).load(payload), board)
    on_host = predict(host, chosen, card=card)
    if record.folder is not None:
        ids = [capture.id for capture in chosen.captures]
        save_detections(record.folder / DETECTIONS_FILE, ids, {"board": on_board, "host": on_host})
    return BoardFrames(chosen, tuple(on_board), tuple(on_host), limited)


class _HostSession:
    """A session on the host that keeps the board's lock meanwhile, also where another job waits for the board."""

    def __init__(self, session: Session, board: Board) -> None:
        self._session, self._board = session, board
        self._used_s = time.monotonic()

    @property
    def graph(self) -> Graph:
        return self._session.graph

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        outputs = self._session.run(inputs)
        if time.monotonic() - self._used_s > _KEEP_S:
            claim(self._board)
            self._used_s = time.monotonic()
        return outputs


def noise(random: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return a tensor that uses the whole range of its type; from 0 to 1 where that is a float."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return random.random(shape).astype(kind)
    limits = np.iinfo(kind)
    return random.integers(limits.min, limits.max, shape, kind, endpoint=True)


def _baud(url: str) -> int | None:
    """Return the baud rate when the board is behind a serial line, else None."""
    address = BoardAddress.parse(url)
    if isinstance(address, SerialAddress):
        return address.baud
    return DEFAULT_BAUD if address.is_serial else None
