"""The board of the simulation: the real service over a simulated disk, whose engine answers which bytes it runs.

The agent's storage is under test, not the arithmetic: so a model's only output is the SHA-256 of its very bytes, which
also proves that what runs is what was verified.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.agent.errors import EngineError, StateError
from firmware_bridge.agent.identity import BoardIdentity
from firmware_bridge.agent.inference.engine import LoadedModel
from firmware_bridge.agent.inference.tensors import tensors, zero_inputs
from firmware_bridge.agent.service import BoardParts, BoardService
from firmware_bridge.agent.state.storage import Storage
from firmware_bridge.device.graph import Graph
from firmware_bridge.device.runtime import Kernels, op_table
from firmware_bridge.device.runtime_info import RuntimeInfo
from firmware_bridge.package.container import PackageFile
from firmware_bridge.package.trust import VerifiedPackage
from firmware_bridge.protocol import messages as m
from hil.virtual.clock import ModelledClock
from tests.powercut.signing_kit import BOARD, tiny_graph

__all__ = ["boot", "push", "running_digest"]

_CAPACITY_BYTES = 1 << 20
_RUNTIME = RuntimeInfo("litert", "2.3.0", op_table("litert"))
_INPUTS = tensors(zero_inputs(Graph.parse(tiny_graph())))


@dataclass(frozen=True, slots=True)
class _NoRails:
    labels: tuple[str, ...] = ()
    period_s: float = 1.0

    def read_mw(self) -> tuple[float | None, ...]:
        return ()


@dataclass(frozen=True, slots=True)
class _DigestModel:
    """A model whose output is the digest of the bytes that were loaded."""

    graph: Graph
    digest: bytes
    fails: bool
    npu_ops: int = 0
    cpu_ops: int = 1

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        del inputs  # nothing is computed from them
        if self.fails:
            raise EngineError("this model does not run")
        return {"digest": np.frombuffer(self.digest, np.uint8)}


@dataclass(frozen=True, slots=True)
class _DigestEngine:
    failing: frozenset[str]

    def info(self) -> RuntimeInfo:
        return _RUNTIME

    def load(self, package: VerifiedPackage, kernels: Kernels) -> LoadedModel:
        del kernels  # there is nothing to execute
        digest = hashlib.sha256(package.payload)
        return _DigestModel(Graph.parse(package.payload), digest.digest(), digest.hexdigest() in self.failing)


def boot(storage: Storage, failing: frozenset[str] = frozenset(), serial: str = "CUT-1") -> BoardService:
    """Boot a board from a disk; models with a digest of ``failing`` (hex) fail when they run."""
    service = BoardService(
        BoardParts(
            identity=BoardIdentity(BOARD, serial, emulated=True),
            capacity_bytes=_CAPACITY_BYTES,
            storage=storage,
            engine=_DigestEngine(failing),
            clock=ModelledClock(),
            rails=_NoRails(),
            wall_s=lambda: 0.0,
        )
    )
    service.start()
    return service


def running_digest(service: BoardService) -> str:
    """Return the SHA-256, hex, of the bytes that the board runs, ``""`` if it runs nothing."""
    try:
        answer = service.infer(m.Infer(_INPUTS))
    except StateError:
        return ""
    return answer.outputs["digest"].data.hex()


def push(service: BoardService, package: PackageFile, chunks: int | None = None) -> str:
    """Do what a host does; return the slot. With ``chunks``, break off after so many of them, and return ``""``."""
    missing = service.offer(package.head).missing
    wanted = [index for index in range(package.chunk_count) if missing[index // 8] >> index % 8 & 1]
    for index in wanted[:chunks]:
        service.chunk(index, package.chunk(index))
    return service.finish().slot if chunks is None else ""
