"""Batches of captures in a random order, with the random numbers of their augmentation: pure functions of the seed.

Knows no backend: a batch is NumPy arrays, and the same seed, pass and place give the same batch in every run.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from models.training.augment import DRAWS, LEAST_VISIBLE_SHARE
from models.training.data import TrainingArrays

__all__ = ["PIECE_STEPS", "CaptureBatches"]

PIECE_STEPS = 50
"""A pass over many captures is cut into pieces of at most so many steps; a checkpoint follows each."""

_FIELDS = ("eo", "lwir", "boxes", "classes", "kinematics", "kinematics_known", "state")


class CaptureBatches(keras.utils.PyDataset):
    """One piece of a pass over the captures, as Keras iterates it; `piece` chooses which.

    Attributes:
        piece: from 0, over all passes.
        pieces: in a pass.
        steps: in a piece.
    """

    def __init__(
        self, data: TrainingArrays, batch: int, seed: int, *, noise: bool, window: tuple[int, int] | None = None
    ) -> None:
        """Take batches of ``batch`` captures.

        Args:
            data: the captures.
            batch: how many in a step.
            seed: of order, windows and augmentation.
            noise: whether the augmentation wants any.
            window: rows and columns of a window that is cut from each capture, around one of its objects; None takes
                whole captures.
        """
        super().__init__()
        self._data, self._seed, self._noise, self._window = data, seed, noise, window
        self._batch = min(batch, len(data))
        whole = len(data) // self._batch
        self.pieces = math.ceil(whole / PIECE_STEPS)
        self.steps = whole // self.pieces
        self.piece = 0

    def __len__(self) -> int:
        """Return the steps in a piece."""
        return self.steps

    def __getitem__(self, index: int) -> tuple[dict[str, NDArray[Any]]]:
        """Return one batch by name, as `models.training.fit.FitModel` takes it."""
        number, part = divmod(self.piece, self.pieces)
        order = np.random.default_rng([self._seed, number]).permutation(len(self._data))
        first = (part * self.steps + index) * self._batch
        chosen = order[first : first + self._batch]
        rng = np.random.default_rng([self._seed, self.piece, index])
        batch = self._windows(chosen, rng) if self._window else self._whole(chosen)
        batch["draws"] = rng.random((len(chosen), DRAWS), np.float32)
        if self._noise:
            batch["noise"] = rng.standard_normal((*batch["eo"].shape[:3], 4), np.float32)
        return (batch,)

    def _whole(self, chosen: NDArray[np.intp]) -> dict[str, NDArray[Any]]:
        return {name: getattr(self._data, name)[chosen] for name in _FIELDS}

    def _windows(self, chosen: NDArray[np.intp], rng: np.random.Generator) -> dict[str, NDArray[Any]]:
        """Cut a window from each chosen capture; what it shows too little of is ignored."""
        assert self._window is not None
        rows, columns = self._window
        batch = {name: getattr(self._data, name)[chosen] for name in _FIELDS if name not in ("eo", "lwir")}
        corners = np.array([self._corner(index, rng) for index in chosen])
        for band in ("eo", "lwir"):
            frames = getattr(self._data, band)
            cuts = [frames[index, y : y + rows, x : x + columns] for index, (x, y) in zip(chosen, corners, strict=True)]
            batch[band] = np.stack(cuts)
        moved = batch["boxes"] - np.tile(corners, 2)[:, None].astype(np.float32)
        inside = np.clip(moved, 0, np.array([columns, rows] * 2, np.float32))
        share = _area(inside) / np.maximum(_area(moved), 1e-6)
        hidden = (batch["state"] == 1) & (share < LEAST_VISIBLE_SHARE)
        batch["state"] = np.where(share <= 0, 0, np.where(hidden, -1, batch["state"])).astype(np.int32)
        batch["boxes"] = inside
        return batch

    def _corner(self, index: int, rng: np.random.Generator) -> tuple[int, int]:
        """Return column and row of a window that shows an object of the capture, or anything if it has none."""
        assert self._window is not None
        (rows, columns), (height, width) = self._window, self._data.eo.shape[1:3]
        places, objects = rng.random(2), np.flatnonzero(self._data.state[index] == 1)
        if not len(objects):
            return int(places[0] * (width - columns + 1)), int(places[1] * (height - rows + 1))
        box = self._data.boxes[index, rng.choice(objects)]
        centre = (box[:2] + box[2:]) / 2
        # The middle three fifths of the window: an object at its very edge teaches little.
        corner = centre - (0.2 + 0.6 * places) * (columns, rows)
        return int(np.clip(corner[0], 0, width - columns)), int(np.clip(corner[1], 0, height - rows))


def _area(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    area: NDArray[np.float32] = np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1)
    return area
