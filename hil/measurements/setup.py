"""What a run is, beside what it found: its plan, its captures, its loop and its host, as small plain records."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib import metadata

__all__ = ["HostFacts", "LoopFacts", "PlannedCheck", "PoolFacts"]


@dataclass(frozen=True, slots=True)
class PlannedCheck:
    """A check that shall run: its name as `Check.name` has it, and the figures that it promises."""

    name: str
    figures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """The captures of a run: name of the pool, how many it has, and the digest of their pixels and truth, hex."""

    name: str
    frames: int
    sha256: str


@dataclass(frozen=True, slots=True)
class LoopFacts:
    """How the paced run runs.

    Attributes:
        frames: inferences that are counted.
        warmup: inferences before them.
        rate_hz: begins a second.
        idle_s: how long the rails are sampled before the loop.
        kernels: of the runtime.
        frame: what each inference sees: the id of a capture of the pool, or ``zeros``.
    """

    frames: int
    warmup: int
    rate_hz: float
    idle_s: float
    kernels: str
    frame: str


@dataclass(frozen=True, slots=True)
class HostFacts:
    """The machine that ran the suite: who, which system and releases, how many processors, load of the last minute."""

    name: str
    system: str
    python: str
    ks100: str
    cpus: int
    load_1m: float

    @classmethod
    def here(cls, name: str) -> HostFacts:
        """Return the facts of this machine, which calls itself ``name``."""
        try:
            release = metadata.version("ks100")
        except metadata.PackageNotFoundError:
            release = ""
        system = f"{platform.system()} {platform.release()} {platform.machine()}"
        load = os.getloadavg()[0]
        return cls(name, system, platform.python_version(), release, os.cpu_count() or 0, load)
