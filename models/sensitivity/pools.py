"""Pools of frames for measuring: captures with truth, or samples for networks with other inputs.

Frames belong to scenes, which intervals resample, and to condition categories.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph
from models.captures import Capture, CaptureSet
from models.heads import INPUT_EO, INPUT_LWIR
from models.preprocess import network_frames, network_truth, to_unit
from models.quant.feeds import Sample, samples_of
from models.training.data import TrainingArrays, load_arrays

__all__ = ["CapturePool", "Pool", "SamplePool"]

Feed = Mapping[str, NDArray[Any]]


class Pool(Protocol):
    """A pool of frames."""

    @property
    def name(self) -> str:
        """E.g. ``validation``."""
        ...

    @property
    def digest(self) -> str:
        """Digest of the data."""
        ...

    def __len__(self) -> int:
        """Return the number of frames."""
        ...

    def categories(self) -> dict[str, NDArray[np.bool_]]:
        """Return the frames of each condition category, ``all`` first."""
        ...

    def scenes(self) -> NDArray[np.int64]:
        """Return the number of each frame's scene, int64 [frames]."""
        ...

    def feed(self, frames: Sequence[int]) -> Feed:
        """Return the inputs of some frames by name, batch first."""
        ...

    def subset(self, indices: Sequence[int]) -> Pool:
        """Return the frames at ``indices`` as a pool of their own."""
        ...


@dataclass(frozen=True)
class CapturePool:
    """Captures at the network's size, with their truth.

    Attributes:
        name: e.g. ``validation``.
        captures: descriptions; boxes in pixels of the network's input.
        arrays: frames and padded truth.
        digest: of the captures.
    """

    name: str
    captures: tuple[Capture, ...]
    arrays: TrainingArrays
    digest: str

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.captures)

    @classmethod
    def load(cls, captures: CaptureSet, height: int, width: int) -> CapturePool:
        """Preprocess a set.

        Raises:
            DataError: it is empty, or a box is not finite.
        """
        described = []
        for index, capture in enumerate(captures.captures):
            *_, transform = network_frames(captures, index, height, width)
            described.append(replace(capture, objects=network_truth(capture, transform), width=width, height=height))
        return cls(captures.name, tuple(described), load_arrays(captures, height, width), captures.digest)

    def categories(self) -> dict[str, NDArray[np.bool_]]:
        """Return the frames of each condition category, ``all`` first; names are ``axis=category``."""
        found = {"all": np.ones(len(self), bool)}
        for axis, category in sorted({pair for capture in self.captures for pair in capture.conditions.items}):
            found[f"{axis}={category}"] = np.array([(axis, category) in c.conditions.items for c in self.captures])
        return found

    def scenes(self) -> NDArray[np.int64]:
        """Return the number of each frame's scene, int64 [frames]."""
        numbers = {scene: i for i, scene in enumerate(sorted({c.scene for c in self.captures}))}
        return np.array([numbers[c.scene] for c in self.captures], np.int64)

    def subset(self, indices: Sequence[int]) -> CapturePool:
        """Return the frames at ``indices`` as a pool of their own."""
        digest = hashlib.sha256(f"{self.digest} {list(indices)}".encode()).hexdigest()
        return CapturePool(self.name, tuple(self.captures[i] for i in indices), self.rows(indices), digest)

    def rows(self, indices: Sequence[int]) -> TrainingArrays:
        """Return the frames and truth at ``indices``."""
        chosen = np.asarray(indices, np.int64)
        fields = ("eo", "lwir", "boxes", "classes", "kinematics", "kinematics_known", "state")
        return TrainingArrays(*(getattr(self.arrays, name)[chosen] for name in fields))

    def feed(self, frames: Sequence[int]) -> Feed:
        """Return the inputs of some frames, float32 by name."""
        chosen = np.asarray(frames, np.int64)
        return {INPUT_EO: to_unit(self.arrays.eo[chosen]), INPUT_LWIR: to_unit(self.arrays.lwir[chosen])}


@dataclass(frozen=True)
class SamplePool:
    """Samples without truth; each is its own scene.

    Attributes:
        name: for tables.
        samples: samples that match the graph.
        digest: of their values.
    """

    name: str
    samples: tuple[Sample, ...]
    digest: str

    @classmethod
    def of(cls, name: str, samples: Sequence[Sample], graph: Graph) -> SamplePool:
        """Check samples against a graph.

        Raises:
            DataError: there are none, or one does not match.
        """
        held = tuple(samples_of(samples, graph))
        digest = hashlib.sha256(name.encode())
        for sample in held:
            for key in sorted(sample.feed):
                digest.update(key.encode() + np.ascontiguousarray(sample.feed[key]).tobytes())
        return cls(name, held, digest.hexdigest())

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.samples)

    def categories(self) -> dict[str, NDArray[np.bool_]]:
        """See `Pool.categories`."""
        found = {"all": np.ones(len(self), bool)}
        for group in sorted({group for sample in self.samples for group in sample.groups}):
            found[group] = np.array([group in sample.groups for sample in self.samples])
        return found

    def scenes(self) -> NDArray[np.int64]:
        """See `Pool.scenes`."""
        return np.arange(len(self), dtype=np.int64)

    def feed(self, frames: Sequence[int]) -> Feed:
        """See `Pool.feed`."""
        chosen = [self.samples[frame].feed for frame in frames]
        return {name: np.stack([feed[name] for feed in chosen]) for name in chosen[0]}

    def subset(self, indices: Sequence[int]) -> SamplePool:
        """Return the samples at ``indices`` as a pool of their own."""
        digest = hashlib.sha256(f"{self.digest} {list(indices)}".encode()).hexdigest()
        return SamplePool(self.name, tuple(self.samples[i] for i in indices), digest)
