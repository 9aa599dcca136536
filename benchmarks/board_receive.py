"""A real agent process whose runtime is not loaded, and how much memory it takes to receive a large package."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from firmware_bridge.agent.identity import BoardIdentity
from firmware_bridge.agent.inference.clock import RealClock
from firmware_bridge.agent.inference.engine import LoadedModel
from firmware_bridge.agent.inference.rails import HwmonRails
from firmware_bridge.agent.serve_command import serve_until_stopped
from firmware_bridge.agent.service import BoardParts, BoardService
from firmware_bridge.agent.sockets import connect_unix
from firmware_bridge.agent.state.storage import LocalStorage
from firmware_bridge.device.runtime import Kernels, op_table
from firmware_bridge.device.runtime_info import RuntimeInfo
from firmware_bridge.package.trust import VerifiedPackage

_CAPACITY_BYTES = 128 << 20
_START_S = 30.0


class _NoRuntime:
    """Says what it could run, and runs nothing."""

    def info(self) -> RuntimeInfo:
        return RuntimeInfo("litert", "2.3.0", op_table("litert"))

    def load(self, package: VerifiedPackage, kernels: Kernels) -> LoadedModel:
        raise AssertionError(f"{package.manifest.model} on {kernels}: nothing is activated here")


def peak_rss_over_model_mib(model_bytes: int) -> float:
    """Push a package of ``model_bytes`` to an agent of its own; return its largest RSS, less the model, in MiB."""
    from firmware_bridge.host.board import Board
    from firmware_bridge.links.socket import socket_link
    from tests.powercut.signing_kit import SigningKit, tiny_graph

    kit = SigningKit()
    package = kit.package(1, noise_bytes=model_bytes - len(tiny_graph()))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "agent.sock"
        agent = subprocess.Popen([sys.executable, "-m", "benchmarks.board_receive", folder, str(path)])
        try:
            deadline_s = time.monotonic() + _START_S
            while not path.exists() and time.monotonic() < deadline_s:
                time.sleep(0.05)
            with Board(socket_link(connect_unix(str(path))), "benchmark") as board:
                board.provision(kit.trust())
                board.push(package)
            status = Path(f"/proc/{agent.pid}/status").read_text(encoding="utf-8")
        finally:
            agent.terminate()
            agent.wait()
    peak_kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return (peak_kib * 1024 - model_bytes) / 2**20


def _serve(folder: str, path: str) -> None:
    state = Path(folder) / "state"
    parts = BoardParts(
        identity=BoardIdentity("ks100", "MEMORY"),
        capacity_bytes=_CAPACITY_BYTES,
        storage=LocalStorage(state),
        engine=_NoRuntime(),
        clock=RealClock(),
        rails=HwmonRails(state),
        wall_s=time.time,
    )
    serve_until_stopped(BoardService(parts), path, None)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
