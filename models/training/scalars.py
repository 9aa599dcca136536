"""One epoch's figures as TensorBoard scalars: ``tensorboard --logdir NETWORK/tensorboard`` shows learning curves."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import tensorflow as tf

from models.training.history import EpochRecord

__all__ = ["ScalarLog"]


class ScalarLog:
    """Writes a scalar for each figure of an epoch, at the epoch's number; a resumed run goes on in a second file."""

    def __init__(self, folder: Path) -> None:
        """Log below ``folder``; the file comes with the first epoch."""
        self._folder = folder
        self._writer: tf.summary.SummaryWriter | None = None

    def __call__(self, record: EpochRecord) -> None:
        """Write one epoch, at once on disk."""
        if self._writer is None:
            self._writer = tf.summary.create_file_writer(str(self._folder))
        with self._writer.as_default(step=record.epoch):
            for name, value in asdict(record).items():
                if name != "epoch" and value is not None:
                    tf.summary.scalar(name, value)
        self._writer.flush()
