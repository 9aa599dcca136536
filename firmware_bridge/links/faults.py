"""Cables that fail on purpose: seeded faults on what is written, around any link. For tests and benchmarks.

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

__all__ = ["FaultSource", "Faults", "FaultyLink", "InjectedFault", "garbled"]

_GARBAGE = (b"ks100 login: ", b"\x00\x00", b"[    0.1234] boot\r\n", b"\x05abc\x00")


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
        garbage: a boot log or a prompt comes in front of a written piece (for each write).
        disconnect: the link breaks for good (for each write).
    """

    corrupt: float = 0.0
    drop: float = 0.0
    duplicate: float = 0.0
    truncate: float = 0.0
    lose: float = 0.0
    stall: float = 0.0
    stall_s: float = 0.05
    garbage: float = 0.0
    disconnect: float = 0.0


@dataclass(frozen=True, slots=True)
class InjectedFault:
    """What the faults leave of one written piece: what arrives, after which delay, or that the link broke."""

    pieces: tuple[bytes, ...] = ()
    stall_s: float = 0.0
    disconnected: bool = False


class FaultSource:
    """Decides what becomes of each written piece; the same seed and the same pieces give the same faults."""

    def __init__(self, faults: Faults, seed: int) -> None:
        """Begin with ``seed``."""
        self._faults = faults
        self._random = random.Random(seed)  # noqa: S311  # repeatable faults, not secrets

    def strike(self, data: bytes) -> InjectedFault:
        """Return what becomes of ``data``."""
        faults, happens = self._faults, self._happens
        if happens(faults.disconnect):
            return InjectedFault(disconnected=True)
        stall_s = faults.stall_s if happens(faults.stall) else 0.0
        if happens(faults.lose):
            return InjectedFault((), stall_s)
        if happens(faults.truncate):
            data = data[: self._random.randrange(len(data) + 1)]
        data = self._damage(data)
        pieces = [self._random.choice(_GARBAGE)] if happens(faults.garbage) else []
        pieces += [data] * (2 if data and happens(faults.duplicate) else 1)
        return InjectedFault(tuple(piece for piece in pieces if piece), stall_s)

    def _happens(self, probability: float) -> bool:
        return probability > 0 and self._random.random() < probability

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


class FaultyLink:
    """Another link with faults on the way out; wrap both ends for faults in both directions."""

    def __init__(self, link: Link, faults: Faults, seed: int, sleep: Callable[[float], None] = time.sleep) -> None:
        """Wrap ``link``; the same seed and the same writes give the same faults."""
        self._link = link
        self._source = FaultSource(faults, seed)
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
        struck = self._source.strike(data)
        if struck.disconnected:
            self._broken.set()
            self._link.close()
            self._check()
        if struck.stall_s:
            self._sleep(struck.stall_s)
        for piece in struck.pieces:
            self._link.write(piece)

    def close(self) -> None:
        """Close the wrapped link."""
        self._link.close()

    def _check(self) -> None:
        if self._broken.is_set():
            raise TransferError(f"{self.name} was disconnected")


def garbled(data: bytes, sent_baud: int, heard_baud: int) -> bytes:
    """Return what a UART at another rate makes of ``data``.

    A slower one sees fewer bytes. For one that is ten times as fast every run of low bits is a break: a zero byte.
    """
    if heard_baud >= 10 * sent_baud > 0:
        return bytes(len(data))
    every = max(1, round(sent_baud / heard_baud)) if heard_baud else 1
    return bytes(byte ^ 0xB5 for byte in data[::every])
