"""FP32 training of a network from captures, as a recipe says."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import keras

from models.captures import CaptureSet
from models.evaluation.evaluation import Evaluation
from models.heads import output_strides
from models.networks import build, feed, frame_size
from models.training.augment import TrainingBatch
from models.training.data import TrainingArrays, load_arrays
from models.training.events import Listener, Stage, TrainingEvent
from models.training.loop import FitLoop, Group, LoopSettings
from models.training.loss import DetectionLoss, LossParts
from models.training.network import TrainedNetwork
from models.training.recipe import Recipe
from models.training.scalars import ScalarLog
from models.training.validate import Validation, evaluated, validation_of

__all__ = ["CHECKPOINT", "arrays_for", "detection_loss", "run_identity", "train", "validator"]

CHECKPOINT = "checkpoint.npz"


def train(
    recipe: Recipe,
    train_set: CaptureSet,
    val_set: CaptureSet | None,
    folder: Path,
    progress: Listener | None = None,
    resume: bool = True,
) -> TrainedNetwork:
    """Train a network and save it in ``folder``.

    The same recipe and data resume from the folder's checkpoint, or return the finished network at once; what the
    recipe says of fine-tuning may differ.

    Args:
        recipe: what and how.
        train_set: what to learn from.
        val_set: what AP50 is measured on; None measures nothing.
        folder: where checkpoint and network are kept.
        progress: told about each step.
        resume: whether what is in the folder counts.

    Raises:
        RecipeError: an unknown network or option.
        DataError: the training set is empty or wrong.
        TrainingError: the loss is not finite, or a file in the folder is damaged.
    """
    digests = {"train": train_set.digest} | ({} if val_set is None else {"validation": val_set.digest})
    identity = run_identity("train", recipe.float_part, digests)
    done = folder / "done"
    if resume and done.is_file() and done.read_text() == identity:
        (folder / "recipe.toml").write_text(recipe.to_toml())
        return TrainedNetwork.load(folder)
    folder.mkdir(parents=True, exist_ok=True)
    done.unlink(missing_ok=True)
    keras.utils.set_random_seed(recipe.seed)
    model = build(recipe.network.name, **recipe.network.options)
    data = arrays_for(model, train_set, progress)
    loss = detection_loss(model)

    def objective(batch: TrainingBatch) -> LossParts:
        return loss(model(feed(model, batch.eo, batch.lwir), training=True), batch)

    fit = recipe.fit
    settings = LoopSettings(
        Stage.TRAINING, fit.epochs, fit.batch, fit.warmup, fit.ema, recipe.seed, recipe.augmentation, identity
    )
    group = Group(model.trainable_variables, fit.learning_rate, fit.weight_decay)
    loop = FitLoop(model, objective, data, [group], settings)
    validate = validator(model, val_set, fit.epochs, fit.validate_every, progress)
    history = loop.run(folder / CHECKPOINT, validate, progress, log=ScalarLog(folder / "tensorboard"), resume=resume)
    trained = TrainedNetwork(model, recipe, tuple(history), digests)
    trained.save(folder)
    done.write_text(identity)
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return trained


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
