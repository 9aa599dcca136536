"""A link that fails on purpose: seeded faults on what is written, around any other link. For tests and benchmarks.

Errors come byte by byte with a given probability, as on a real cable, or write by write.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from firmware_bridge.errors import TransferError
from firmware_bridge.links.link import Link

__all__ = ["Faults", "FaultyLink"]


@dataclass(frozen=True, slots=True)
class Faults:
    """Probabilities of each fault.

    Attributes:
        corrupt: a byte is altered (for each byte).
        drop: a byte is lost (for each byte).
        duplicate: a written piece comes twice (for each write).
        truncate: the rest of a written piece is lost (for each write).
        lose: a written piece is lost whole (for each write).
        stall: nothing moves for ``stall_s`` (for each write).
        stall_s: how long a stall takes.
        disconnect: the link breaks for good (for each write).
    """

    corrupt: float = 0.0
    drop: float = 0.0
    duplicate: float = 0.0
    truncate: float = 0.0
    lose: float = 0.0
    stall: float = 0.0
    stall_s: float = 0.05
    disconnect: float = 0.0


class FaultyLink:
    """Another link with faults on the way out; wrap both ends for faults in both directions."""

    def __init__(self, link: Link, faults: Faults, seed: int, sleep: Callable[[float], None] = time.sleep) -> None:
        """Wrap ``link``; the same seed and the same writes give the same faults."""
        self._link = link
        self._faults = faults
        self._random = random.Random(seed)  # noqa: S311  # repeatable faults, not secrets
        self._sleep = sleep
        self._broken = threading.Event()

    @property
    def name(self) -> str:
        """The wrapped link's name."""
        return self._link.name

    @property
    def reliable(self) -> bool:
        """False: that is the point."""
        return False

    def read(self, timeout_s: float) -> bytes:
        """Return what the wrapped link has."""
        self._check()
        return self._link.read(timeout_s)

    def write(self, data: bytes) -> None:
        """Write what the faults leave of ``data``."""
        self._check()
        faults, happens = self._faults, self._happens
        if happens(faults.disconnect):
            self._broken.set()
            self._link.close()
            self._check()
        if happens(faults.stall):
            self._sleep(faults.stall_s)
        if happens(faults.lose):
            return
        if happens(faults.truncate):
            data = data[: self._random.randrange(len(data) + 1)]
        data = self._damage(data)
        if data:
            self._link.write(data)
            if happens(faults.duplicate):
                self._link.write(data)

    def close(self) -> None:
        """Close the wrapped link."""
        self._link.close()

    def _happens(self, probability: float) -> bool:
        return probability > 0 and self._random.random() < probability

    def _check(self) -> None:
        if self._broken.is_set():
            raise TransferError(f"{self.name} was disconnected")

    def _damage(self, data: bytes) -> bytes:
        rate = self._faults.corrupt + self._faults.drop
        if not rate:
            return data
        damaged = bytearray()
        at = 0
        while (hit := at + self._gap(rate)) < len(data):
            damaged += data[at:hit]
            if self._random.random() * rate < self._faults.corrupt:
                damaged.append(data[hit] ^ self._random.randrange(1, 256))
            at = hit + 1
        return bytes(damaged + data[at:])

    def _gap(self, rate: float) -> int:
        """Return the number of bytes until the next fault: geometric, so that long clean runs cost nothing."""
        return int(self._random.expovariate(1.0) / rate)
