"""A board's service in memory, for tests of the link and the host: real hashing and state, no trust and no model."""

from __future__ import annotations

import hashlib
import threading
import zlib

import numpy as np

from firmware_bridge.device.runtime_info import RuntimeInfo
from firmware_bridge.errors import BoardError, RejectedError
from firmware_bridge.host.fleet import ModelIdentity
from firmware_bridge.package.reasons import RejectReason
from firmware_bridge.protocol import messages as m

CHUNK_BYTES = 16 * 1024


class MemoryPackage:
    """What `Board.push` needs of a package; the head is the list of its chunks' digests."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.chunks = [payload[at : at + CHUNK_BYTES] for at in range(0, len(payload), CHUNK_BYTES)]
        self.head = b"".join(hashlib.sha256(chunk).digest() for chunk in self.chunks)

    @property
    def chunk_count(self) -> int:
        return len(self.chunks)

    def chunk(self, index: int) -> bytes:
        return self.chunks[index]


class MemoryService:
    """Takes any package whose chunks match its head; keeps chunks by digest, as a board keeps its staged files."""

    def __init__(self, serial: str = "M0001", *, booted_s: float = 1.5, stall: threading.Event | None = None) -> None:
        self.serial = serial
        self.booted_s = booted_s
        self.active = False
        self.stored: dict[bytes, bytes] = {}
        self.offered: list[bytes] = []
        self.chunks_received = 0
        self.installed: bytes | None = None
        self.confirmed = False
        self.store = b""
        self.reboots = 0
        self.stall = stall

    def info(self) -> m.BoardInfo:
        runtime = RuntimeInfo("litert", "2.3.0", ("ADD:INT8", "CONV_2D:INT8"))
        state = "confirmed" if self.confirmed else "trial" if self.active else "installed"
        full = m.SlotInfo("b", state, "detector", "1.0", 1, hashlib.sha256(self.installed or b"").hexdigest())
        slots = (m.SlotInfo("a", "empty"), full if self.installed else m.SlotInfo("b", "empty"))
        active = "b" if self.active else ""
        return m.BoardInfo("ks100", self.serial, True, "0.1.0", "demo", 1, 0, 1 << 24, runtime, ("npu",), slots, active)

    @staticmethod
    def identity(package: MemoryPackage) -> ModelIdentity:
        return ModelIdentity("detector", "1.0", 1, hashlib.sha256(package.payload).hexdigest())

    def trust(self) -> m.TrustState:
        return m.TrustState(self.store)

    def provision(self, store: bytes) -> m.Done:
        if not store:
            raise RejectedError(RejectReason.TRUST_SIGNATURES, "0 of 2")
        self.store = store
        return m.Done()

    def offer(self, head: bytes) -> m.ChunksNeeded:
        if head.startswith(b"forged"):
            raise RejectedError(RejectReason.SIGNATURE, "P-256, key ab12")
        self.offered = [head[at : at + 32] for at in range(0, len(head), 32)]
        missing = bytearray(-(-len(self.offered) // 8))
        for index, digest in enumerate(self.offered):
            if digest not in self.stored:
                missing[index // 8] |= 1 << index % 8
        return m.ChunksNeeded("b", bytes(missing))

    def chunk(self, index: int, data: bytes) -> None:
        if self.stall is not None:
            self.stall.wait(20)
        if not self.offered:
            raise BoardError("no package is offered")
        if index >= len(self.offered) or hashlib.sha256(data).digest() != self.offered[index]:
            raise RejectedError(RejectReason.CHUNK, f"chunk {index}")
        self.chunks_received += 1
        self.stored[self.offered[index]] = data

    def finish(self) -> m.Installed:
        if any(digest not in self.stored for digest in self.offered):
            raise BoardError("chunks are missing")
        self.installed = b"".join(self.stored[digest] for digest in self.offered)
        return m.Installed("b", hashlib.sha256(self.installed).hexdigest())

    def activate(self, slot: str) -> m.Activated:
        if slot != "b" or self.installed is None:
            raise RejectedError(RejectReason.SLOT, f"slot {slot} is empty")
        self.active = True
        return m.Activated(slot)

    def confirm(self) -> m.Confirmed:
        self.confirmed = True
        return m.Confirmed("b", 3)

    def infer(self, request: m.Infer) -> m.Inferred:
        total = sum(zlib.crc32(tensor.data) for tensor in request.inputs.values())
        echo = {f"{name}_out": tensor for name, tensor in request.inputs.items()}
        crc = m.Tensor("int64", (1,), np.array([total], "<i8").tobytes())
        return m.Inferred({**echo, "crc": crc}, 8.5)

    def measure(self, request: m.Measure) -> m.Measured:
        count = request.frames
        times = tuple(i / 60 for i in range(count))
        trace = m.RailTrace("npu", times, (5600.0,) * count)
        return m.Measured(times, (8.5,) * count, 0.0, request.idle_s, (trace,), 40, 0, 0)

    def audit(self, since: int) -> m.Audit:
        entries = [
            m.AuditEntry(0, self.booted_s, "boot", self.serial, "ok"),
            m.AuditEntry(1, self.booted_s + 1, "offer", "p", "signature"),
        ]
        return m.Audit(tuple(entries[since:]))

    def reboot(self) -> m.Done:
        self.reboots += 1
        return m.Done()
