"""FP32 training of a network from captures, as a recipe says."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import keras

from models.captures import CaptureSet
from models.evaluation.evaluation import Evaluation
from models.heads import output_strides
from models.networks import build, frame_size
from models.training.batches import CaptureBatches
from models.training.data import TrainingArrays, load_arrays
from models.training.events import Listener, Stage, TrainingEvent
from models.training.fit import FitModel, WarmHoldDecay, optimizer_of
from models.training.follow import Follower, Journal
from models.training.history import EpochRecord
from models.training.loss import DetectionLoss
from models.training.network import TrainedNetwork
from models.training.recipe import Recipe
from models.training.start import check_start, start_from
from models.training.validate import Validation, evaluated, validation_of

__all__ = ["arrays_for", "detection_loss", "run_identity", "train", "validator"]

_KERNEL_RANK = 4  # weights of convolutions decay; biases, norms and scalars do not


def train(
    recipe: Recipe,
    train_set: CaptureSet,
    val_set: CaptureSet | None,
    folder: Path,
    progress: Listener | None = None,
    resume: bool = True,
    start: TrainedNetwork | None = None,
) -> TrainedNetwork:
    """Train a network and save it in ``folder``.

    The same recipe, data and start resume from the folder's checkpoint, or return the finished network at once; what
    the recipe says of fine-tuning may differ.

    Args:
        recipe: what and how.
        train_set: what to learn from.
        val_set: what AP50 is measured on; None measures nothing.
        folder: where checkpoint and network are kept.
        progress: told about each step.
        resume: whether what is in the folder counts.
        start: a trained network of the same layers, at any size of frame, whose weights training starts from.

    Raises:
        RecipeError: an unknown network or option, or ``start`` is not what the recipe starts from.
        DataError: the training set is empty or wrong.
        TrainingError: the loss is not finite, or a file in the folder is damaged.
    """
    check_start(recipe, start)
    digests = {"train": train_set.digest} | ({} if val_set is None else {"validation": val_set.digest})
    digests |= {} if start is None else {"start": start.digest}
    identity = run_identity("train", recipe.float_part, digests)
    done = folder / "done"
    if resume and done.is_file() and done.read_text() == identity:
        (folder / "recipe.toml").write_text(recipe.to_toml())
        return TrainedNetwork.load(folder)
    folder.mkdir(parents=True, exist_ok=True)
    done.unlink(missing_ok=True)
    keras.utils.set_random_seed(recipe.seed)
    model = build(recipe.network.name, **recipe.network.options)
    if start is not None:
        start_from(model, start)
    journal = Journal(folder, identity, resume=resume)
    history: tuple[EpochRecord, ...] = ()
    if recipe.fit.epochs:
        history = _fit(recipe, model, arrays_for(model, train_set, progress), val_set, journal, progress)
    trained = TrainedNetwork(model, recipe, history, digests)
    trained.save(folder)
    done.write_text(identity)
    journal.remove()
    return trained


def _fit(
    recipe: Recipe,
    model: keras.Model,
    data: TrainingArrays,
    val_set: CaptureSet | None,
    journal: Journal,
    progress: Listener | None,
) -> tuple[EpochRecord, ...]:
    """Fit ``model``, which then holds the averaged weights; return what its epochs came to.

    With windows, a copy of the window's size is trained, and its weights are given to ``model`` to be validated.
    """
    fit, fitted = recipe.fit, model
    window = (fit.window_height, fit.window_width) if fit.window_width else None
    batches = CaptureBatches(data, fit.batch, recipe.seed, noise=recipe.augmentation.noise > 0, window=window)
    if window is not None:
        size = {"height": fit.window_height, "width": fit.window_width}
        fitted = build(recipe.network.name, **{**recipe.network.options, **size})
        fitted.set_weights(model.get_weights())
    if fit.frozen_norm:
        for layer in fitted.layers:
            layer.trainable = not isinstance(layer, keras.layers.BatchNormalization)
    trainer = FitModel(fitted, detection_loss(fitted), recipe.augmentation)
    pieces = fit.epochs * batches.pieces
    if fit.steps:
        pieces = min(pieces, max(1, fit.steps // batches.steps))
    rate = WarmHoldDecay(fit.learning_rate, pieces * batches.steps, fit.warmup, fit.decay)
    optimizer = optimizer_of(rate, fit.weight_decay, fit.ema, fit.accumulate)
    optimizer.exclude_from_weight_decay([v for v in fitted.trainable_variables if len(v.shape) != _KERNEL_RANK])
    trainer.compile(optimizer=optimizer, jit_compile=False)
    trainer(batches[0][0])
    optimizer.build(trainer.trainable_variables)  # variables that a step creates make TensorFlow trace it twice
    validate = validator(model, val_set, math.ceil(pieces / batches.pieces), fit.validate_every, progress)

    def handed_over(epoch: int) -> Validation | None:
        model.set_weights(fitted.get_weights())
        return validate(epoch)

    follower = Follower(batches, pieces, journal, handed_over, progress)
    journal.fit(trainer, batches, pieces, follower)
    fitted.trainable = True
    model.set_weights(fitted.get_weights())
    return follower.history


def arrays_for(model: keras.Model, captures: CaptureSet, progress: Listener | None) -> TrainingArrays:
    """Load ``captures`` at the model's input size, telling progress."""
    height, width = frame_size(model)

    def told(done: int, total: int) -> None:
        if progress is not None:
            progress(TrainingEvent(Stage.LOADING, done, total))

    return load_arrays(captures, height, width, told)


def detection_loss(model: keras.Model) -> DetectionLoss:
    """Return the loss that fits the model's input size and strides."""
    height, width = frame_size(model)
    return DetectionLoss(height, width, output_strides(tuple(model.output)))


def validator(
    model: keras.Model,
    val_set: CaptureSet | None,
    epochs: int,
    every: int,
    progress: Listener | None,
    parent: Evaluation | None = None,
) -> Callable[[int], Validation | None]:
    """Return what validates after the last epoch and after each ``every`` epochs (0: after the last only).

    With the ``parent``'s evaluation on the same set it also tells how far the model falls from it.
    """

    def validate(epoch: int) -> Validation | None:
        due = epoch == epochs or (every and epoch % every == 0)
        if val_set is None or not due:
            return None

        def told(done: int, total: int, ap50: float | None = None) -> None:
            if progress is not None:
                progress(TrainingEvent(Stage.VALIDATING, done, total, epoch, epochs, ap50=ap50))

        found = validation_of(evaluated(model, val_set, told), parent)
        told(len(val_set), len(val_set), found.ap50)
        return found

    return validate


def run_identity(act: str, recipe: Recipe, parts: Mapping[str, str]) -> str:
    """Return what a run is identified by: equal recipe, data and other parts mean an equal result."""
    text = "\n".join([act, recipe.digest, *(f"{name} {parts[name]}" for name in sorted(parts))])
    return hashlib.sha256(text.encode()).hexdigest()
