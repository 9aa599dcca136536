"""Pieces of a sweep: some variants on some frames, the unit of execution, transfer and caching.

Results depend only on the study and the piece, so a lost piece is simply run again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.heads import DecodePolicy, Detections, decode
from models.quant.plan import Precision
from models.sensitivity.pools import CapturePool, Pool
from models.sensitivity.study import Study, simulation_of

if TYPE_CHECKING:
    from models.training.augment import TrainingBatch

__all__ = ["Executor", "LocalExecutor", "Piece", "PieceResult", "Variant", "run_piece", "truth_of"]


@dataclass(frozen=True, slots=True)
class Variant:
    """A precision assignment of the network.

    Attributes:
        base: the precision of all other groups.
        changes: (group, precision), sorted by group.
    """

    base: Precision
    changes: tuple[tuple[str, Precision], ...] = ()

    @classmethod
    def of(cls, base: Precision, changes: Mapping[str, Precision] | None = None) -> Variant:
        """Return the variant with some groups in another precision than ``base``."""
        return cls(base, tuple(sorted((changes or {}).items(), key=lambda item: item[0])))

    @property
    def key(self) -> str:
        """A short key for the cache."""
        text = ";".join([self.base.value, *(f"{group}={precision.value}" for group, precision in self.changes)])
        return hashlib.sha256(text.encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class Piece:
    """Some variants on some frames of a pool.

    Attributes:
        pool: the pool's name.
        frames: positions in it.
        variants: the variants to run.
        detect: whether to return detections.
    """

    pool: str
    frames: tuple[int, ...]
    variants: tuple[Variant, ...]
    detect: bool = False


@dataclass(frozen=True)
class PieceResult:
    """Results of a piece.

    Attributes:
        divergence: float64 [variants, frames], against the float network.
        rise: float64 [variants, frames], rise of the task loss over the float network's; NaN without truth.
        detections: by variant and frame, boxes in pixels of the network's input; empty if not requested.
    """

    divergence: NDArray[np.float64]
    rise: NDArray[np.float64]
    detections: tuple[tuple[Detections, ...], ...] = ()


class Executor(Protocol):
    """Runs pieces."""

    def run(self, study: Study, pieces: Sequence[Piece]) -> Iterable[tuple[Piece, PieceResult]]:
        """Yield each piece with its result, in any order."""
        ...


class LocalExecutor:
    """Runs pieces in this process, one after another."""

    def run(self, study: Study, pieces: Sequence[Piece]) -> Iterator[tuple[Piece, PieceResult]]:
        """See `Executor.run`."""
        for piece in pieces:
            yield piece, run_piece(study, piece)


def run_piece(study: Study, piece: Piece) -> PieceResult:
    """Run one piece in this process."""
    from models.sensitivity.losses import Reference, weigher

    simulation, pool = simulation_of(study), study.pools[piece.pool]
    assignments = [study.assignment(variant.base, dict(variant.changes)) for variant in piece.variants]
    plain = study.assignment(Precision.FP32, {})
    reference, *found = simulation.run(pool.feed(piece.frames), [plain, *assignments])
    held = Reference(reference, weigher(reference, study.spans))
    return PieceResult(
        divergence=np.stack([held.divergence(outputs) for outputs in found]),
        rise=_rises(pool, piece.frames, reference, found),
        detections=tuple(_decoded(outputs) for outputs in found) if piece.detect else (),
    )


def _rises(
    pool: Pool, frames: Sequence[int], reference: Mapping[str, Any], found: Sequence[Mapping[str, Any]]
) -> NDArray[np.float64]:
    """Return the rise of the task loss, [variants, frames]; NaN without truth."""
    from models.sensitivity.losses import TaskLoss

    if not isinstance(pool, CapturePool):
        return np.full((len(found), len(frames)), np.nan)
    height, width = (int(n) for n in pool.arrays.eo.shape[1:3])
    task = TaskLoss(reference, truth_of(pool, frames), height, width)
    before = task(reference)
    return np.stack([task(outputs) - before for outputs in found])


def truth_of(pool: CapturePool, frames: Sequence[int]) -> TrainingBatch:
    """Return the truth of some frames in the form of the training loss, without the frames."""
    import tensorflow as tf

    from models.training.augment import TrainingBatch

    rows = pool.rows(frames)
    parts = (rows.boxes, rows.classes, rows.kinematics, rows.kinematics_known, rows.state)
    return TrainingBatch(tf.zeros(0), tf.zeros(0), *(tf.constant(part) for part in parts))


def _decoded(outputs: Mapping[str, Any]) -> tuple[Detections, ...]:
    arrays = {name: np.asarray(value) for name, value in outputs.items()}
    count = len(next(iter(arrays.values())))
    policy = DecodePolicy()
    return tuple(decode({name: value[row] for name, value in arrays.items()}, policy) for row in range(count))
