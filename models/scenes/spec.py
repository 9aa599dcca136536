"""The specification of a set of generated captures."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from models.errors import DataError

__all__ = ["FRAMES_PER_SCENE", "SceneSpec"]

FRAMES_PER_SCENE = 4
"""Frames per scene. They share place, weather and time of day; evaluation resamples whole scenes (clusters)."""

_FIELD_OF_VIEW_RAD = 640 * 0.33e-3


@dataclass(frozen=True, slots=True)
class SceneSpec:
    """A set of generated captures; equal specifications give identical bytes.

    Attributes:
        seed: determines everything together with ``name``, so that sets of different names share no scene.
        count: frame pairs.
        width: pixels.
        height: pixels.
        hardness: 0 is typical, 1 is hard: lower visibility, more crossover, smaller, more occluded and better
            camouflaged objects. A physical severity, not an artefact laid over the image.
        name: the set's name.
        ood: scenes of weather and sensor faults that no other set shows, see `models.scenes.ood`.
    """

    seed: int
    count: int
    width: int = 160
    height: int = 128
    hardness: float = 0.0
    name: str = "captures"
    ood: bool = False

    def __post_init__(self) -> None:
        if self.count < 1 or self.width < 64 or self.height < 48 or not 0 <= self.hardness <= 1 or self.seed < 0:
            raise DataError(
                f"cannot generate {self.name!r}: take a seed from 0, at least 1 pair of 64x48 pixels, hardness 0 to 1"
            )

    @property
    def ifov_rad(self) -> float:
        """Instantaneous field of view of a pixel, for the fixed field of view of 640 pixels of 0.33 mrad."""
        return _FIELD_OF_VIEW_RAD / self.width

    @property
    def scenes(self) -> int:
        """Number of scenes."""
        return -(-self.count // FRAMES_PER_SCENE)

    def entropy(self, *path: int) -> list[int]:
        """Return the seed of the random stream at ``path`` within this set."""
        digest = hashlib.sha256(self.name.encode()).digest()
        return [self.seed, int.from_bytes(digest[:8], "little"), *path]
