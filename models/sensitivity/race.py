"""Racing: measuring many variants on the same frames, and stopping those clearly not among the worst.

Scenes are processed in batches in random order. After each batch the confidence sequence of every variant's mean
divergence is updated; a variant stops if its upper bound is below the lower bounds of as many others as are sought.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.heads import Detections
from models.progress import Count
from models.sensitivity.intervals import anytime_margin
from models.sensitivity.pools import Pool
from models.sensitivity.study import Study
from models.sensitivity.tasks import Executor, Piece, PieceResult, Variant

__all__ = ["BATCH", "Measured", "Race", "measure", "race"]

BATCH = 32
"""Frames per piece."""
_LOT_FRAMES = 64
# The test is asymptotic: with fewer scenes its error rate is too high for such skewed figures.
_MIN_SCENES = 16
_ALPHA = 0.05
# Variants per piece: enough to share prefixes, few enough that an interruption loses only seconds.
_VARIANTS = 24


@dataclass
class Measured:
    """Results of one variant on one pool.

    Attributes:
        divergence: float64 [frames]; NaN where not measured.
        rise: float64 [frames], rise of the task loss; NaN where not measured.
        detections: by frame, if requested.
    """

    divergence: NDArray[np.float64]
    rise: NDArray[np.float64]
    detections: dict[int, Detections]

    @property
    def frames(self) -> int:
        """Return the number of measured frames."""
        return int(np.isfinite(self.divergence).sum())


@dataclass(frozen=True, slots=True)
class Race:
    """Settings of a race.

    Attributes:
        leaders: number of worst variants sought; the others may stop. 0 runs all to the end.
        seed: of the scenes' order.
    """

    leaders: int = 0
    seed: int = 0


def measure(
    study: Study,
    pool: str,
    variants: Sequence[Variant],
    executor: Executor,
    *,
    frames: Sequence[int] | None = None,
    detect: bool = False,
    batch: int = BATCH,
    progress: Count | None = None,
) -> dict[Variant, Measured]:
    """Measure every variant on all frames of a pool, or on ``frames``."""
    held = {variant: _empty(len(study.pools[pool])) for variant in variants}
    chosen = range(len(study.pools[pool])) if frames is None else frames
    pieces = _pieces(pool, chosen, list(variants), detect, batch)
    _collect(study, executor, pieces, held, progress, len(chosen) * len(variants))
    return held


def race(
    study: Study,
    pool: str,
    variants: Sequence[Variant],
    executor: Executor,
    settings: Race,
    *,
    batch: int = BATCH,
    progress: Count | None = None,
) -> dict[Variant, Measured]:
    """Measure variants batch by batch, dropping those that cannot be among the ``settings.leaders`` worst."""
    data = study.pools[pool]
    held = {variant: _empty(len(data)) for variant in variants}
    running, total = list(variants), len(data) * len(variants)
    seen: list[int] = []
    for lot in _lots(data, settings.seed):
        _collect(study, executor, _pieces(pool, lot, running, False, batch), held, progress, total)
        seen += lot
        running = _still_running(data, seen, running, held, settings.leaders)
    return held


def _empty(frames: int) -> Measured:
    return Measured(np.full(frames, np.nan), np.full(frames, np.nan), {})


def _pieces(pool: str, frames: Sequence[int], variants: Sequence[Variant], detect: bool, batch: int) -> list[Piece]:
    return [
        Piece(pool, tuple(frames[first : first + batch]), tuple(variants[start : start + _VARIANTS]), detect)
        for first in range(0, len(frames), batch)
        for start in range(0, len(variants), _VARIANTS)
    ]


def _collect(
    study: Study,
    executor: Executor,
    pieces: Sequence[Piece],
    held: Mapping[Variant, Measured],
    progress: Count | None,
    total: int,
) -> None:
    for piece, result in executor.run(study, pieces):
        _put(piece, result, held)
        if progress is not None:
            progress(sum(measured.frames for measured in held.values()), total)


def _put(piece: Piece, result: PieceResult, held: Mapping[Variant, Measured]) -> None:
    frames = np.asarray(piece.frames)
    for row, variant in enumerate(piece.variants):
        held[variant].divergence[frames] = result.divergence[row]
        held[variant].rise[frames] = result.rise[row]
        if result.detections:
            held[variant].detections.update(zip(piece.frames, result.detections[row], strict=True))


def _lots(data: Pool, seed: int) -> list[list[int]]:
    """Return the frames in random order of whole scenes, in batches."""
    scenes = data.scenes()
    order = np.random.default_rng(seed).permutation(int(scenes.max()) + 1)
    lots: list[list[int]] = [[]]
    for scene in order:
        if len(lots[-1]) >= _LOT_FRAMES:
            lots.append([])
        lots[-1] += np.nonzero(scenes == scene)[0].tolist()
    return lots


def _still_running(
    data: Pool, seen: Sequence[int], running: list[Variant], held: Mapping[Variant, Measured], leaders: int
) -> list[Variant]:
    if not leaders or len(running) <= leaders:
        return running
    scenes = data.scenes()[list(seen)]
    numbers, of_frame, sizes = np.unique(scenes, return_inverse=True, return_counts=True)
    if len(numbers) < _MIN_SCENES:
        return running
    values = np.stack([held[variant].divergence[list(seen)] for variant in running])
    means = np.zeros((len(running), len(numbers)))
    np.add.at(means.T, of_frame, values.T)
    means /= sizes
    planned = max(_MIN_SCENES, int(data.scenes().max() + 1) // 4)
    margin = anytime_margin(means.std(1, ddof=1), len(numbers), _ALPHA / len(held), planned)
    bar = np.sort(means.mean(1) - margin)[-leaders]
    return [v for v, mean, width in zip(running, means.mean(1), margin, strict=True) if mean + width >= bar]
