"""What goes along with Keras's ``fit``: progress, validation, the epochs' history, a checkpoint after each piece."""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from models.errors import TrainingError
from models.training.batches import CaptureBatches
from models.training.events import Listener, Stage, TrainingEvent
from models.training.fit import FitModel, averaged_weights
from models.training.history import EpochRecord
from models.training.scalars import ScalarLog
from models.training.validate import Validation

__all__ = ["Clock", "Follower", "Journal"]


@dataclass(frozen=True, slots=True)
class _Piece:
    """What one piece of an epoch came to: means over its steps."""

    loss: float
    classes: float
    boxes: float
    kinematics: float
    seconds: float
    ap50: float | None = None


class Journal:
    """The checkpoint of a running training in its folder: Keras's own, and beside it what each piece came to.

    ``checkpoint/`` is that of `keras.callbacks.BackupAndRestore`, ``pieces.json`` ours; another run starts anew.
    """

    def __init__(self, folder: Path, identity: str, *, resume: bool) -> None:
        """Open what is in ``folder``, or drop it if it is another run's."""
        self.folder, self._identity = folder, identity
        self._state, self._log = folder / "checkpoint", folder / "pieces.json"
        if not resume or self._read().get("identity") != identity:
            self.remove()

    def pieces(self) -> list[_Piece]:
        """Return what the pieces so far came to."""
        return [_Piece(**item) for item in self._read().get("pieces", [])]

    def write(self, pieces: list[_Piece]) -> None:
        """Keep what the pieces so far came to."""
        part = self._log.with_suffix(".part")
        part.write_text(json.dumps({"identity": self._identity, "pieces": [asdict(item) for item in pieces]}) + "\n")
        part.replace(self._log)

    def fit(self, trainer: FitModel, batches: CaptureBatches, pieces: int, follower: Follower) -> None:
        """Train to the end, from the checkpoint if there is one.

        Raises:
            TrainingError: the checkpoint cannot be read or written.
        """
        backup = keras.callbacks.BackupAndRestore(str(self._state), double_checkpoint=True)
        try:
            # The follower writes its piece first: after a cut between the two, it drops what the weights have not seen.
            trainer.fit(batches, epochs=pieces, shuffle=False, verbose=0, callbacks=[follower, backup])
        except OSError as error:
            raise TrainingError(f"{self._state}: {error}; make room there, or delete it to start anew") from error

    def remove(self) -> None:
        """Remove the checkpoint: training is done, or starts anew."""
        shutil.rmtree(self._state, ignore_errors=True)
        self._log.unlink(missing_ok=True)

    def _read(self) -> dict[str, Any]:
        if not self._log.is_file():
            return {}
        try:
            found = json.loads(self._log.read_text())
        except ValueError as error:
            raise TrainingError(f"{self._log} cannot be read: {error}; delete it to start anew") from error
        return found if isinstance(found, dict) else {}


class Follower(keras.callbacks.Callback):
    """Tells progress, validates after an epoch with averaged weights, and keeps the history.

    To Keras an epoch is one piece of ours; see `models.training.batches`.
    """

    def __init__(
        self,
        batches: CaptureBatches,
        pieces: int,
        journal: Journal,
        validate: Callable[[int], Validation | None],
        progress: Listener | None,
    ) -> None:
        """Follow ``pieces`` pieces of ``batches``; the last epoch may lack some."""
        super().__init__()
        self._batches, self._total, self._journal = batches, pieces, journal
        self._epochs = math.ceil(pieces / batches.pieces)
        self._validate, self._progress = validate, progress
        self._pieces = journal.pieces()
        self._clock = Clock(batches.steps * pieces)
        self._log = ScalarLog(journal.folder / "tensorboard")
        self._started_s = 0.0

    @property
    def history(self) -> tuple[EpochRecord, ...]:
        """What each epoch came to, as far as it went."""
        each = self._batches.pieces
        return tuple(
            _joined(first // each + 1, self._pieces[first : first + each])
            for first in range(0, len(self._pieces), each)
        )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Choose the piece; forget what the restored weights have not seen."""
        del logs
        self._batches.piece = epoch
        del self._pieces[epoch:]
        self._started_s = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Tell the step."""
        piece, loss = self._batches.piece, (logs or {})["loss"]
        epoch = piece // self._batches.pieces + 1
        if not np.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} in epoch {epoch}, step {batch + 1}; lower learning_rate in the recipe"
            )
        done = piece * self._batches.steps + batch + 1
        left_s = self._clock.left_s(done)
        if self._progress is not None:
            event = TrainingEvent(Stage.TRAINING, done, self._clock.total, epoch, self._epochs, float(loss), left_s)
            self._progress(event)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Validate where an epoch ends, and keep what the piece came to."""
        means, seconds, ap50 = dict(logs or {}), time.monotonic() - self._started_s, None
        number, part = divmod(epoch, self._batches.pieces)
        whole = part == self._batches.pieces - 1 or epoch == self._total - 1
        if whole:
            with averaged_weights(self.model):
                found = self._validate(number + 1)
            ap50 = None if found is None else found.ap50
        self._pieces.append(_Piece(means["loss"], means["classes"], means["boxes"], means["kinematics"], seconds, ap50))
        self._journal.write(self._pieces)
        if whole:
            self._log(self.history[-1])


def _joined(epoch: int, pieces: list[_Piece]) -> EpochRecord:
    """Return an epoch of pieces of equally many steps."""
    loss, classes, boxes, kinematics = (
        float(np.mean([getattr(piece, name) for piece in pieces]))
        for name in ("loss", "classes", "boxes", "kinematics")
    )
    return EpochRecord(epoch, loss, classes, boxes, kinematics, sum(p.seconds for p in pieces), ap50=pieces[-1].ap50)


class Clock:
    """Estimates the time left from the steps of this process, without the first one (it compiles)."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._first: tuple[int, float] | None = None

    def left_s(self, done: int) -> float | None:
        """Return the seconds left after ``done`` steps, None after the first."""
        if self._first is None:
            self._first = (done, time.monotonic())
            return None
        step, since_s = self._first
        return (time.monotonic() - since_s) / (done - step) * (self.total - done)
