"""The loop of a fine-tuning: fixed-shape steps, averaged weights, a checkpoint after each piece, the same run resumed.

Knows neither captures nor quantization: it minimises a task's loss over a graph's weights and ranges.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from models.errors import TrainingError
from models.finetuning.task import Task
from models.quant.simulation.trainable import TrainableGraph
from models.training.events import Listener, Stage, TrainingEvent
from models.training.fit import WarmHoldDecay
from models.training.follow import Clock
from models.training.history import EpochRecord
from models.training.recipe import QatSettings
from models.training.validate import Validation
from models.training.weights import load_arrays_file, save_arrays_file

__all__ = ["TuningLoop"]

_GRADIENT_NORM = 10.0


class _Until(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that falls to nothing after some steps."""

    def __init__(self, rate: WarmHoldDecay, steps: float) -> None:
        super().__init__()
        self._rate, self._steps = rate, steps

    def __call__(self, step: Any) -> Any:
        """Return the rate at ``step``."""
        return tf.where(tf.cast(step, tf.float32) < self._steps, self._rate(step), 0.0)


@dataclass
class _Kept:
    """Which epoch's averaged values are kept: the best one so far, the last where nothing was judged.

    Attributes:
        epoch: its number; 0 is the start.
        badness: by which it was chosen, None where it was not judged.
    """

    epoch: int = 0
    badness: float | None = None

    def beaten_by(self, badness: float | None) -> bool:
        """Return whether an epoch of this badness takes its place."""
        return badness is None or self.badness is None or badness < self.badness


class TuningLoop:
    """Fits one graph to a task.

    Attributes:
        history: what each epoch came to.
        kept: number of the epoch whose weights and ranges the graph holds at the end; 0 for those it began with.
    """

    def __init__(self, graph: TrainableGraph, task: Task, settings: QatSettings, stage: Stage, identity: str) -> None:
        """Prepare a run; ``identity`` names it, and a checkpoint of another one is not resumed."""
        self._graph, self._task, self._settings = graph, task, settings
        self._stage, self._identity = stage, identity
        total = settings.epochs * task.pieces * task.steps
        weights = WarmHoldDecay(settings.learning_rate, total, 0.0, 1.0)
        ranges = WarmHoldDecay(settings.range_learning_rate, total, 0.0, 1.0)
        groups = [(graph.weights, weights), (graph.stretches, _Until(ranges, (1.0 - settings.freeze) * total))]
        groups = [(variable, rate) for variable, rate in groups if np.prod(variable.shape)]
        self._variables = [variable for variable, _ in groups]
        self._optimizers = [keras.optimizers.Adam(rate, global_clipnorm=_GRADIENT_NORM) for _, rate in groups]
        for optimizer, variable in zip(self._optimizers, self._variables, strict=True):
            optimizer.build([variable])
        self._averages, self._best = ([tf.Variable(tf.convert_to_tensor(v)) for v in self._variables] for _ in range(2))
        self._step = tf.function(self._train_step, autograph=False, reduce_retracing=True)
        self._sums = np.zeros(5)
        self._seconds = 0.0
        self._pieces = 0
        self._kept = _Kept()
        self.history: list[EpochRecord] = []

    @property
    def kept(self) -> int:
        """Number of the epoch that is kept."""
        return self._kept.epoch

    def run(
        self,
        checkpoint: Path,
        progress: Listener | None,
        *,
        log: Callable[[EpochRecord], None] | None = None,
        resume: bool = True,
        from_start: bool = False,
    ) -> None:
        """Train to the end; the graph then holds the averaged values of the epoch that is kept.

        Args:
            checkpoint: written after each piece, resumed from if it is of this run.
            progress: called at each step.
            log: called with each epoch's record.
            resume: whether an existing checkpoint counts.
            from_start: whether what the graph began with may be what is kept.

        Raises:
            TrainingError: the loss is not finite, or the checkpoint cannot be read.
        """
        if resume and checkpoint.is_file():
            self._restore(checkpoint)
        if from_start and not self._pieces:
            self._kept = _Kept(0, self._judged(0, progress).badness)
        clock = Clock(self._settings.epochs * self._task.pieces * self._task.steps)
        while not self._over():
            self._piece(clock, progress)
            if self._pieces % self._task.pieces == 0:
                self._end_epoch(progress)
                if log is not None:
                    log(self.history[-1])
            self._save(checkpoint)
        _assign(self._variables, self._best)

    def _over(self) -> bool:
        done, patience = len(self.history), self._settings.patience
        return done >= self._settings.epochs or bool(patience and done - self._kept.epoch >= patience)

    def _piece(self, clock: Clock, progress: Listener | None) -> None:
        steps, epoch, started_s = self._task.steps, self._pieces // self._task.pieces + 1, time.monotonic()
        for index in range(steps):
            done = self._pieces * steps + index
            decay = min(self._settings.ema, (1 + done) / (10 + done))
            batch = {name: tf.constant(value) for name, value in self._task.batch(self._pieces, index).items()}
            parts = self._step(batch, tf.constant(decay, tf.float32)).numpy()
            if not np.isfinite(parts).all():
                raise TrainingError(f"the loss is {parts[0]} in epoch {epoch}, step {index + 1}; lower learning_rate")
            self._sums += parts
            if progress is not None:
                loss = float(self._sums[0] / ((self._pieces % self._task.pieces) * steps + index + 1))
                left_s = clock.left_s(done + 1)
                event = TrainingEvent(self._stage, done + 1, clock.total, epoch, self._settings.epochs, loss, left_s)
                progress(event)
        self._pieces += 1
        self._seconds += time.monotonic() - started_s

    def _end_epoch(self, progress: Listener | None) -> None:
        epoch = len(self.history) + 1
        loss, classes, boxes, kinematics, features = self._sums / (self._task.pieces * self._task.steps)
        record = EpochRecord(epoch, loss, classes, boxes, kinematics, self._seconds, features=features)
        held = [tf.identity(variable) for variable in self._variables]
        _assign(self._variables, self._averages)
        judged = self._judged(epoch, progress)
        _assign(self._variables, held)
        self.history.append(
            replace(record, ap50=judged.ap50, worst_drop_points=judged.worst_drop_points, sqnr_db=judged.sqnr_db)
        )
        if self._kept.beaten_by(judged.badness):
            self._kept = _Kept(epoch, judged.badness)
            _assign(self._best, self._averages)
        self._sums, self._seconds = np.zeros(5), 0.0

    def _judged(self, epoch: int, progress: Listener | None) -> Validation:
        def count(done: int, total: int, ap50: float | None = None) -> None:
            if progress is not None:
                progress(TrainingEvent(Stage.VALIDATING, done, total, epoch, self._settings.epochs, ap50=ap50))

        found = self._task.judge(self._graph, count)
        if found is None:
            return Validation(None)
        count(1, 1, found.ap50)
        return found

    def _train_step(self, batch: dict[str, tf.Tensor], decay: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            parts = self._task.loss(self._graph, batch)
            loss = parts.total
        gradients = tape.gradient(loss, [variable.value for variable in self._variables])
        for optimizer, gradient, variable in zip(self._optimizers, gradients, self._variables, strict=True):
            optimizer.apply([gradient], [variable])
        for average, variable in zip(self._averages, self._variables, strict=True):
            average.assign_add((tf.convert_to_tensor(variable) - average) * (1.0 - decay))
        return tf.stack([loss, parts.classes, parts.boxes, parts.kinematics, parts.features])

    def _slots(self) -> dict[str, Any]:
        """Return every variable that a resumed run needs, by name."""
        found: dict[str, Any] = {}
        for number, optimizer in enumerate(self._optimizers):
            for name, held in (("value", self._variables), ("average", self._averages), ("best", self._best)):
                found[f"{name}{number}"] = held[number]
            found |= {f"optimizer{number}/{i}": v for i, v in enumerate(optimizer.variables)}
        return found

    def _save(self, path: Path) -> None:
        about = {
            "identity": self._identity, "pieces": self._pieces, "kept": asdict(self._kept),
            "sums": self._sums.tolist(), "seconds": self._seconds, "history": [asdict(r) for r in self.history],
        }  # fmt: skip
        arrays = {name: np.asarray(variable) for name, variable in self._slots().items()}
        save_arrays_file(path, {**arrays, "about": np.array(json.dumps(about))})

    def _restore(self, path: Path) -> None:
        state = load_arrays_file(path)
        try:
            about = json.loads(str(state["about"]))
            if about["identity"] != self._identity:
                return
            for name, variable in self._slots().items():
                variable.assign(state[name])
            self._pieces, self._sums, self._seconds = about["pieces"], np.asarray(about["sums"]), about["seconds"]
            self._kept = _Kept(**about["kept"])
            self.history = [EpochRecord(**record) for record in about["history"]]
        except (KeyError, ValueError, TypeError) as error:
            raise TrainingError(f"{path} is not a checkpoint of a fine-tuning; delete it to start anew") from error


def _assign(variables: list[Any], values: list[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
