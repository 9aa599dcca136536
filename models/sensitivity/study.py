"""What a sensitivity map is made of: a float graph, its ranges, and the captures it is measured on. Plain values.

A study can be sent to another process; the simulator is built there, once. Its digest names everything that a
measured figure depends on, so that figures can be kept and found again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph
from models.captures import Capture, CaptureSet
from models.errors import DataError
from models.evaluation.predict import input_size
from models.preprocess import network_frames, network_truth
from models.quant.ranges import Ranges
from models.records import plain, structured
from models.training.data import TrainingArrays, load_arrays

if TYPE_CHECKING:
    from models.sensitivity.simulator import Simulator

__all__ = ["PoolData", "Study", "simulator_of"]

# Part of every digest: raise it when the meaning of a measured figure changes.
_VERSION = 1


@dataclass(frozen=True)
class PoolData:
    """One pool at the network's size.

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
    def load(cls, captures: CaptureSet, height: int, width: int) -> PoolData:
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
        """Return which frames belong to each condition category, ``all`` first; names are ``axis=category``."""
        found = {"all": np.ones(len(self), bool)}
        for axis, category in sorted({pair for capture in self.captures for pair in capture.conditions.items}):
            found[f"{axis}={category}"] = np.array([(axis, category) in c.conditions.items for c in self.captures])
        return found

    def scenes(self) -> NDArray[np.int64]:
        """Return the number of each frame's scene, int64 [frames]."""
        numbers = {scene: i for i, scene in enumerate(sorted({c.scene for c in self.captures}))}
        return np.array([numbers[c.scene] for c in self.captures], np.int64)

    def subset(self, indices: Sequence[int]) -> PoolData:
        """Return the frames at ``indices`` as a pool of their own."""
        digest = hashlib.sha256(f"{self.digest} {list(indices)}".encode()).hexdigest()
        return PoolData(self.name, tuple(self.captures[i] for i in indices), self.rows(indices), digest)

    def rows(self, indices: Sequence[int]) -> TrainingArrays:
        """Return the frames and truth at ``indices``."""
        chosen = np.asarray(indices, np.int64)
        fields = ("eo", "lwir", "boxes", "classes", "kinematics", "kinematics_known", "state")
        return TrainingArrays(*(getattr(self.arrays, name)[chosen] for name in fields))


@dataclass(frozen=True)
class Study:
    """A float graph on some pools.

    Attributes:
        float_tflite: the float graph.
        ranges: of its activations.
        pools: by name.
    """

    float_tflite: bytes
    ranges: Ranges
    pools: Mapping[str, PoolData]

    @classmethod
    def of(cls, float_tflite: bytes, ranges: Ranges, pools: Mapping[str, CaptureSet]) -> Study:
        """Preprocess the pools for the graph.

        Raises:
            DataError: the graph is no detector, or a pool is empty or wrong.
        """
        if not pools:
            raise DataError("a sensitivity map needs at least one pool of captures")
        height, width = input_size(Graph.parse(float_tflite))
        loaded = {name: PoolData.load(captures, height, width) for name, captures in pools.items()}
        return cls(float_tflite, ranges, loaded)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over the graph and its ranges; pools have digests of their own."""
        digest = hashlib.sha256(f"sensitivity {_VERSION} {self.ranges.digest} ".encode())
        digest.update(self.float_tflite)
        return digest.hexdigest()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be computed again."""
        return {"float_tflite": self.float_tflite, "ranges": self.ranges, "pools": self.pools}


@lru_cache(maxsize=2)
def _built(digest: str, float_tflite: bytes, ranges_json: str) -> Simulator:
    import json

    from models.sensitivity.simulator import Simulator

    del digest
    return Simulator(float_tflite, structured(Ranges, json.loads(ranges_json)))


def simulator_of(study: Study) -> Simulator:
    """Return the study's simulator; one is kept in each process."""
    import json

    return _built(study.digest, study.float_tflite, json.dumps(plain(study.ranges), sort_keys=True))
