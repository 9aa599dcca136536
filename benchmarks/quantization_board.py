"""An emulated board against the host: the same graph in the same runtime must give the same integers.

Both sides run the reference kernels on this machine's processor; nothing here is modelled.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from firmware_bridge.device.isolated import IsolatedRuntime
from firmware_bridge.device.runtime import Kernels
from firmware_bridge.host.address import BoardAddress
from hil.boards import connect
from hil.checks.board_session import BoardSession
from hil.virtual.emulated import EmulatedBoard
from models.quant.parity import parity
from tests.powercut.signing_kit import SigningKit

__all__ = ["board_mismatches"]

_OLDEST = {"litert": "2.0", "tflite-runtime": "2.14"}


def board_mismatches(graph: bytes, runtime: str, feeds: Sequence[Mapping[str, NDArray[Any]]]) -> int:
    """Return how many output values differ between an emulated board and this process.

    Args:
        graph: produced for ``runtime``.
        runtime: ``litert`` or ``tflite-runtime``, of both sides.
        feeds: inputs of the graph's own types.
    """
    kit = SigningKit()
    package = kit.sign(graph, runtime=(runtime, _OLDEST[runtime]))
    with (
        tempfile.TemporaryDirectory() as folder,
        EmulatedBoard.start(Path(folder), runtime=runtime) as emulated,
        connect(BoardAddress.parse(emulated.ssh_url)) as board,
        IsolatedRuntime(runtime).load(graph, Kernels.REFERENCE) as host,
    ):
        board.provision(kit.trust())
        board.activate(board.push(package).slot)
        found = parity(host, BoardSession(board, host.graph, Kernels.REFERENCE), feeds)
    return sum(output.mismatches for output in found)
