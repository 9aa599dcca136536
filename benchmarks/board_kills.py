"""SIGKILLs of a real agent process during pushes over real SSH: does it come back, and does the push resume?

Each kill comes at a random moment of push, activation and confirmation. Then the board must run the model from before
or the new one, and the same push, again, must go through.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from firmware_bridge.agent.inference.tensors import zero_inputs
from firmware_bridge.device.graph import Graph
from firmware_bridge.errors import BridgeError
from firmware_bridge.host.address import BoardAddress
from firmware_bridge.host.board import Board
from firmware_bridge.package.container import PackageFile
from hil.boards import connect
from hil.virtual.emulated import EmulatedBoard
from tests.powercut.signing_kit import SigningKit, tiny_graph

__all__ = ["Kills", "survive_kills"]

_NOISE_BYTES = 2 << 20
_PATIENCE_S = 30.0
_INPUTS = zero_inputs(Graph.parse(tiny_graph()))


@dataclass(slots=True)
class Kills:
    """What became of the board.

    Attributes:
        kills: how often the agent was killed.
        survived: how often it came back with a verified model, and the same push then went through.
        within_push: how many of the kills came before the push was answered.
        resumed: how many of these pushes had to send less the second time.
        trouble: what went wrong, one line each.
    """

    kills: int = 0
    survived: int = 0
    within_push: int = 0
    resumed: int = 0
    trouble: list[str] = field(default_factory=list)


def survive_kills(count: int, seed: int = 0, progress: Callable[[Kills], None] = lambda _: None) -> Kills:
    """Kill an emulated board's agent ``count`` times."""
    chance, kit, kills = random.Random(seed), SigningKit(), Kills()  # noqa: S311 - no secret
    with tempfile.TemporaryDirectory() as folder, EmulatedBoard.start(Path(folder)) as emulated:
        address = BoardAddress.parse(emulated.ssh_url)
        with connect(address) as board:
            board.provision(kit.trust())
            old = kit.package(1, noise_bytes=_NOISE_BYTES)
            begun_s = time.monotonic()
            _install(board, old)
            usual_s = time.monotonic() - begun_s
        for number in range(count):
            new = kit.package(number + 2, noise_bytes=_NOISE_BYTES)
            interrupted = _interrupted_push(address, emulated, new, chance.uniform(0.0, usual_s))
            kills.kills += 1
            kills.within_push += interrupted
            try:
                kills.resumed += _recover(address, old, new) and interrupted
                kills.survived += 1
            except (BridgeError, AssertionError) as error:
                kills.trouble.append(f"kill {number}: {error}")
            old = new
            progress(kills)
    return kills


def _install(board: Board, package: PackageFile) -> None:
    board.activate(board.push(package).slot)
    board.confirm()


def _interrupted_push(address: BoardAddress, emulated: EmulatedBoard, package: PackageFile, after_s: float) -> bool:
    """Install a package, and kill the agent meanwhile; return whether the push was not answered."""
    agent, pushed = emulated.agent_process(), False
    with contextlib.suppress(BridgeError), connect(address, patience_s=_PATIENCE_S) as board:
        killer = threading.Timer(after_s, os.kill, (agent, signal.SIGKILL))
        killer.start()
        try:
            slot = board.push(package).slot
            pushed = True
            board.activate(slot)
            board.confirm()
        finally:
            killer.join()
    return not pushed


def _recover(address: BoardAddress, old: PackageFile, new: PackageFile) -> bool:
    """Check that the board runs one of the two, and install the new one; return whether the push resumed."""
    allowed = {hashlib.sha256(package.payload()).hexdigest() for package in (old, new)}
    with connect(address, patience_s=_PATIENCE_S) as board:
        info = board.info()
        running = next((slot.digest for slot in info.slots if slot.name == info.active), "")
        assert running in allowed, f"it runs {running[:12] or 'nothing'}"
        assert board.infer(_INPUTS).outputs, "it gives no outputs"
        since = board.audit()[-1].index + 1
        _install(board, new)
        offer = next(entry for entry in board.audit(since) if entry.action == "offer")
        wanted, of = (int(word) for word in offer.result.split() if word.isdecimal())
    return wanted < of
