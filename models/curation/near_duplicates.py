"""Near-duplicates across pools: almost identical frames, regardless of their scene names.

Each band of each frame gets a difference hash of 256 bits (Krawetz, "Kind of like that", 2013, at 17x16 instead of
9x8): bit k is set if the thumbnail gets brighter at pixel k. Noise, JPEG, gain and offset hardly change it. The
distance of two frames is the fraction of differing bits over their common bands.

Measured on generated pairs: distinct scenes differ by at least 0.27 in one band and 0.35 in both; the same frame with
different noise, JPEG quality, brightness or a shift by one pixel by at most 0.21 and 0.13.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.captures import CaptureSet
from models.preprocess import agc

__all__ = ["NEAR", "NearDuplicate", "fingerprint", "near_duplicates"]

NEAR = 0.22
"""Frames closer than this are near-duplicates; see the module's figures."""

_SIDE = 16
_BITS = _SIDE * _SIDE
# A thumbnail without structure hashes to its noise: such a band is ignored.
_MIN_DEVIATION = 1.0
_ROWS = 2048


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """Two almost identical frames of different pools.

    Attributes:
        first: pool and capture id.
        second: pool and capture id.
        distance: fraction of differing hash bits.
    """

    first: tuple[str, str]
    second: tuple[str, str]
    distance: float


@dataclass(frozen=True)
class _Hashes:
    """Hash bits of N frames, float32 [N, 2, BITS] of 0 and 1 (for matrix products), and usable bands [N, 2]."""

    bits: NDArray[np.float32]
    known: NDArray[np.float32]


def near_duplicates(pools: Mapping[str, CaptureSet], threshold: float = NEAR) -> tuple[NearDuplicate, ...]:
    """Return pairs of frames of different pools closer than ``threshold``, closest first.

    Every pair of frames is compared: about a second for 4,000 frames against 4,000.
    """
    hashes = {name: _hashes(captures) for name, captures in pools.items()}
    found: list[NearDuplicate] = []
    for one, other in combinations(pools, 2):
        for start in range(0, len(pools[one]), _ROWS):
            rows = slice(start, start + _ROWS)
            distance = _distances(_Hashes(hashes[one].bits[rows], hashes[one].known[rows]), hashes[other])
            found += [
                NearDuplicate(
                    (one, pools[one].captures[start + row].id),
                    (other, pools[other].captures[column].id),
                    round(float(distance[row, column]), 4),
                )
                for row, column in np.argwhere(distance < threshold).tolist()
            ]
    return tuple(sorted(found, key=lambda pair: (pair.distance, pair.first, pair.second)))


def fingerprint(grey: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
    """Return the difference hash of a frame uint8 [H, W], bool [256]; None without structure."""
    small = Image.fromarray(grey).resize((_SIDE + 1, _SIDE), Image.Resampling.BOX)
    pixels = np.asarray(small, np.int16)
    if float(pixels.std()) < _MIN_DEVIATION:
        return None
    return np.asarray(pixels[:, 1:] > pixels[:, :-1]).ravel()


def _hashes(captures: CaptureSet) -> _Hashes:
    count = len(captures)
    bits, known = np.zeros((count, 2, _BITS), np.float32), np.zeros((count, 2), np.float32)
    for index in range(count):
        eo, counts = captures.frames.eo(index), captures.frames.lwir(index)
        grey = None if eo is None else np.asarray(Image.fromarray(np.ascontiguousarray(eo)).convert("L"))
        for band, frame in enumerate((grey, None if counts is None else agc(np.asarray(counts)))):
            found = None if frame is None else fingerprint(frame)
            if found is not None:
                bits[index, band], known[index, band] = found, 1.0
    return _Hashes(bits, known)


def _distances(one: _Hashes, other: _Hashes) -> NDArray[np.float32]:
    """Return float32 [n, m]: fraction of differing bits over the common bands; infinite without any."""
    differing = np.zeros((len(one.bits), len(other.bits)), np.float32)
    common = np.zeros_like(differing)
    for band in range(2):
        a, b = one.bits[:, band], other.bits[:, band]
        both = one.known[:, band, None] * other.known[None, :, band]
        differing += both * (a @ (1 - b).T + (1 - a) @ b.T)
        common += both
    shares = np.full_like(differing, np.inf)
    np.divide(differing, common * _BITS, out=shares, where=common > 0)
    return shares
