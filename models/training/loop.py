"""The training loop: fixed-shape steps, averaged weights, one checkpoint an epoch, the same run after a resume.

Knows neither networks nor quantization: it minimises an objective over some groups of variables.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from models.errors import TrainingError
from models.training.augment import DRAWS, Augmentation, TrainingBatch, augment, to_unit_batch
from models.training.data import TrainingArrays
from models.training.events import Listener, Stage, TrainingEvent
from models.training.history import EpochRecord, kept_epoch
from models.training.loss import LossParts
from models.training.optimizer import AdamW, flatten, unflatten
from models.training.validate import Validation
from models.training.weights import load_arrays_file, named_variables, save_arrays_file

__all__ = ["FitLoop", "Group", "LoopSettings"]

_GRADIENT_NORM = 10.0
_LAST_RATE = 0.01


@dataclass(frozen=True, slots=True)
class LoopSettings:
    """How a loop runs; see `models.training.recipe.Fit` for the fields' meaning.

    Attributes:
        stage: told in events.
        identity: names the run; a checkpoint of another one is not resumed.
        patience: epochs without a better worst condition after which the loop ends; 0 never does.
    """

    stage: Stage
    epochs: int
    batch: int
    warmup: float
    ema: float
    seed: int
    augmentation: Augmentation
    identity: str
    patience: int = 0


@dataclass(frozen=True)
class Group:
    """Variables that share an optimizer.

    Attributes:
        variables: what is trained.
        learning_rate: the peak.
        weight_decay: of variables of rank 4 (kernels).
        until: share of the steps after which they stand still.
    """

    variables: Sequence[keras.Variable]
    learning_rate: float
    weight_decay: float = 0.0
    until: float = 1.0


Objective = Callable[[TrainingBatch], LossParts]


class FitLoop:
    """Minimises an objective of a model's variables over the captures."""

    def __init__(
        self,
        model: keras.Model,
        objective: Objective,
        data: TrainingArrays,
        groups: Sequence[Group],
        settings: LoopSettings,
    ) -> None:
        self._model, self._objective, self._settings = model, objective, settings
        self._groups = [group for group in groups if group.variables]
        self._batch = min(settings.batch, len(data))
        self._count = len(data)
        self.steps = len(data) // self._batch
        # On the CPU a constant is the array itself: the captures stay in memory once, as 8-bit values.
        self._data = TrainingBatch(
            *(
                tf.constant(a)
                for a in (
                    data.eo, data.lwir, data.boxes, data.classes, data.kinematics, data.kinematics_known, data.state
                )
            )
        )  # fmt: skip
        self._optimizers = [AdamW(group.variables, group.weight_decay, _GRADIENT_NORM) for group in self._groups]
        self._average = tf.Variable(flatten([v.value for v in model.variables]))
        self._kept = tf.Variable(self._average)
        self._step = tf.function(self._train_step, autograph=False)
        self.history: list[EpochRecord] = []

    def run(
        self,
        checkpoint: Path | None,
        validate: Callable[[int], Validation | None],
        progress: Listener | None = None,
        *,
        log: Callable[[EpochRecord], None] | None = None,
        resume: bool = True,
    ) -> list[EpochRecord]:
        """Train to the end; the model then holds the averaged weights of the epoch that `kept_epoch` names.

        Args:
            checkpoint: written after each epoch, resumed from if it is of this run; None keeps none.
            validate: called after each epoch, with averaged weights in the model; None where it did not look.
            progress: told about each step.
            log: told what each epoch came to.
            resume: whether an existing checkpoint counts.

        Raises:
            TrainingError: the loss is not finite, or the checkpoint cannot be read.
        """
        if resume and checkpoint is not None and checkpoint.is_file():
            self._restore(checkpoint)
        clock = _Clock(len(self.history), self._settings.epochs, self.steps)
        while not self._over():
            record = self._epoch(len(self.history) + 1, clock, progress)
            with self.averaged():
                found = validate(record.epoch)
            if found is not None:
                record = replace(record, ap50=found.ap50, worst_drop_points=found.worst_drop_points)
            self.history.append(record)
            if kept_epoch(self.history) is record:
                self._kept.assign(self._average)
            if log is not None:
                log(record)
            if checkpoint is not None:
                self._save(checkpoint)
        self._assign(self._kept)
        return self.history

    def _over(self) -> bool:
        done, patience = len(self.history), self._settings.patience
        stalled = bool(done and patience) and done - kept_epoch(self.history).epoch >= patience
        return stalled or done >= self._settings.epochs

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Put the averaged weights into the model for a while."""
        kept = flatten([v.value for v in self._model.variables])
        self._assign(self._average)
        yield
        self._assign(kept)

    def _assign(self, values: tf.Tensor) -> None:
        for variable, value in zip(self._model.variables, unflatten(values, self._model.variables), strict=True):
            variable.assign(value)

    def _epoch(self, epoch: int, clock: _Clock, progress: Listener | None) -> EpochRecord:
        settings = self._settings
        order = np.random.default_rng([settings.seed, epoch]).permutation(self._count)
        started, total = time.monotonic(), np.zeros(5)
        for index in range(self.steps):
            step = (epoch - 1) * self.steps + index
            chosen = order[index * self._batch : (index + 1) * self._batch].astype(np.int32)
            parts = self._step(
                tf.constant(chosen),
                tf.constant([settings.seed, step], tf.int32),
                tf.constant([self._rate(group, step) for group in self._groups], tf.float32),
                tf.constant(min(settings.ema, (1 + step) / (10 + step)), tf.float32),
            ).numpy()
            if not np.isfinite(parts).all():
                raise TrainingError(
                    f"the loss is {parts[0]} in epoch {epoch}, step {index + 1}; lower learning_rate in the recipe"
                )
            total += parts
            if progress is not None:
                loss = float(total[0] / (index + 1))
                left_s = clock.left_s(step + 1)
                done, whole = step + 1, self.steps * settings.epochs
                progress(TrainingEvent(settings.stage, done, whole, epoch, settings.epochs, loss, left_s))
        loss, classes, boxes, kinematics, features = (float(value) for value in total / self.steps)
        return EpochRecord(epoch, loss, classes, boxes, kinematics, time.monotonic() - started, features=features)

    def _rate(self, group: Group, step: int) -> float:
        """Return the learning rate: linear warm-up, then cosine (Loshchilov and Hutter 2017)."""
        total = self.steps * self._settings.epochs
        if step >= group.until * total:
            return 0.0
        warm = max(1, round(self._settings.warmup * total))
        if step < warm:
            return group.learning_rate * (step + 1) / warm
        share = (step - warm) / max(1, total - warm)
        return group.learning_rate * (_LAST_RATE + (1 - _LAST_RATE) * (1 + math.cos(math.pi * share)) / 2)

    def _train_step(self, chosen: tf.Tensor, seed: tf.Tensor, rates: tf.Tensor, decay: tf.Tensor) -> tf.Tensor:
        batch = TrainingBatch(*(tf.gather(part, chosen) for part in self._data))
        seeds = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
        draws = tf.random.stateless_uniform((self._batch, DRAWS), seeds[0])
        batch = to_unit_batch(batch)
        noise = None
        if self._settings.augmentation.noise:
            noise = tf.random.stateless_normal((*batch.eo.shape[:3], 4), seeds[1])
        batch = augment(batch, self._settings.augmentation, draws, noise)
        with tf.GradientTape() as tape:
            parts = self._objective(batch)
            loss = parts.total
        gradients = tape.gradient(loss, [list(group.variables) for group in self._groups])
        for index, (optimizer, gradient) in enumerate(zip(self._optimizers, gradients, strict=True)):
            optimizer.apply(gradient, rates[index])
        now = flatten([v.value for v in self._model.variables])
        self._average.assign_add((now - self._average) * (1.0 - decay))
        return tf.stack([loss, parts.classes, parts.boxes, parts.kinematics, parts.features])

    def _slots(self) -> dict[str, Any]:
        """Return every variable that a resumed run needs, by name."""
        found: dict[str, Any] = {f"model/{name}": v for name, v in named_variables(self._model).items()}
        found |= {"average": self._average, "kept": self._kept}
        for index, optimizer in enumerate(self._optimizers):
            found |= {f"optimizer{index}/{i}": v for i, v in enumerate(optimizer.state)}
        return found

    def _save(self, path: Path) -> None:
        state: dict[str, NDArray[Any]] = {name: v.numpy() for name, v in self._slots().items()}
        history = [asdict(record) for record in self.history]
        state["about"] = np.array(json.dumps({"identity": self._settings.identity, "history": history}))
        save_arrays_file(path, state)

    def _restore(self, path: Path) -> None:
        state = load_arrays_file(path)
        about = _about(state, path)
        if about.get("identity") != self._settings.identity:
            return
        for name, variable in self._slots().items():
            value = state.get(name)
            if value is None or tuple(value.shape) != tuple(variable.shape):
                raise TrainingError(f"{path}: {name} does not fit; delete the checkpoint to start anew")
            variable.assign(value)
        self.history = [EpochRecord(**record) for record in about["history"]]


def _about(state: Mapping[str, NDArray[Any]], path: Path) -> dict[str, Any]:
    try:
        found = json.loads(str(state["about"]))
    except (KeyError, ValueError) as error:
        raise TrainingError(f"{path} is not a checkpoint; delete it to start anew") from error
    return found if isinstance(found, dict) else {}


class _Clock:
    """Estimates the time left from the steps of this process, without the first one (it compiles)."""

    def __init__(self, epochs_done: int, epochs: int, steps: int) -> None:
        self._first = epochs_done * steps + 1
        self._total = epochs * steps
        self._since_s: float | None = None

    def left_s(self, done: int) -> float | None:
        """Return the seconds left after ``done`` steps, None after the first."""
        if self._since_s is None:
            self._since_s = time.monotonic()
            return None
        return (time.monotonic() - self._since_s) / (done - self._first) * (self._total - done)
