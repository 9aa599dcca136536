"""A cache of measured pieces on disk: an interrupted sweep resumes, and a repeated one is free.

A file has the results for some frames of a pool, by variant; its name is a digest of the study, the pool and the
frames. Files are written atomically. Damaged files are ignored.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.files import replacing
from models.heads import Detections
from models.sensitivity.study import Study
from models.sensitivity.tasks import Executor, Piece, PieceResult, Variant

__all__ = ["CachedExecutor"]

_FIELDS = ("boxes", "scores", "classes", "range_m", "velocity_mps")


@dataclass(frozen=True)
class CachedExecutor:
    """Runs pieces by another executor unless their results are in the folder.

    Attributes:
        inner: runs the pieces.
        folder: the cache.
    """

    inner: Executor
    folder: Path

    def run(self, study: Study, pieces: Sequence[Piece]) -> Iterator[tuple[Piece, PieceResult]]:
        """See `Executor.run`."""
        waiting: list[Piece] = []
        for piece in pieces:
            known = _load(self._path(study, piece))
            here = [v for v in piece.variants if _key(v, piece) in known]
            if here:
                held = replace(piece, variants=tuple(here))
                yield held, _result(held, known)
            missing = tuple(v for v in piece.variants if _key(v, piece) not in known)
            if missing:
                waiting.append(replace(piece, variants=missing))
        for piece, result in self.inner.run(study, waiting) if waiting else ():
            self._keep(self._path(study, piece), piece, result)
            yield piece, result

    def _path(self, study: Study, piece: Piece) -> Path:
        text = f"{study.digest} {study.pools[piece.pool].digest} {piece.frames}"
        return self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.npz"

    def _keep(self, path: Path, piece: Piece, result: PieceResult) -> None:
        arrays = _load(path)
        for row, variant in enumerate(piece.variants):
            key = _key(variant, piece)
            arrays[key] = np.stack([result.divergence[row], result.rise[row]])
            arrays[variant.key] = arrays[key]
            if piece.detect:
                arrays |= {f"{key}/{name}": value for name, value in _packed(result.detections[row]).items()}
        with replacing(path) as file:
            np.savez(file, **arrays)


def _key(variant: Variant, piece: Piece) -> str:
    return variant.key + ("+" if piece.detect else "")


def _load(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        return {}


def _result(piece: Piece, known: dict[str, NDArray[Any]]) -> PieceResult:
    figures = np.stack([known[_key(variant, piece)] for variant in piece.variants])
    found = tuple(_unpacked(known, _key(variant, piece)) for variant in piece.variants) if piece.detect else ()
    return PieceResult(figures[:, 0], figures[:, 1], found)


def _packed(detections: Sequence[Detections]) -> dict[str, NDArray[Any]]:
    packed = {name: np.concatenate([getattr(seen, name) for seen in detections]) for name in _FIELDS}
    return packed | {"counts": np.array([len(seen) for seen in detections], np.int64)}


def _unpacked(known: dict[str, NDArray[Any]], key: str) -> tuple[Detections, ...]:
    ends = np.cumsum(known[f"{key}/counts"])[:-1]
    parts = [np.split(known[f"{key}/{name}"], ends) for name in _FIELDS]
    return tuple(Detections(*fields) for fields in zip(*parts, strict=True))
