"""Quantization-aware fine-tuning of a trained network under a precision plan, and its result as a folder.

weights.npz, recipe.toml, history.json    as for a float network; weights are those of the folded form
plan.json                                 the precision plan
ranges.json                               (min, max) of each layer's output, as trained
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import keras
import tensorflow as tf

from firmware_bridge.device.graph import Graph
from models.captures import CaptureSet
from models.errors import TrainingError
from models.networks import build, feed, fused_features
from models.preprocess import UNIT_RANGE
from models.quant.calibrate import CalibrationMethod, calibrate
from models.quant.layer_names import tensor_names
from models.quant.plan import Precision, PrecisionPlan
from models.quant.qat import Simulation, simulate
from models.quant.ranges import Ranges
from models.training.augment import TrainingBatch
from models.training.distil import teach, teach_features
from models.training.events import Listener, Stage, TrainingEvent
from models.training.export import export_float
from models.training.history import EpochRecord, kept_epoch
from models.training.loop import FitLoop, Group, LoopSettings
from models.training.loss import LossParts
from models.training.network import TrainedNetwork, read_record, write_record
from models.training.recipe import QatSettings, Recipe
from models.training.scalars import ScalarLog
from models.training.train import arrays_for, detection_loss, run_identity, validator
from models.training.validate import evaluated
from models.training.weights import assign_variables, load_arrays_file, named_variables, save_arrays_file

__all__ = ["QatNetwork", "calibrated_ranges", "finetune_qat", "load_ranges"]

_CHECKPOINT = "checkpoint.npz"


@dataclass(frozen=True)
class QatNetwork:
    """A network fine-tuned for integer arithmetic.

    Attributes:
        model: folded, float weights as trained; what is exported and then quantized with ``ranges``.
        ranges: (min, max) of each layer's output; what is produced with them computes what was simulated.
        plan: which layer computes in what.
        recipe: how it was fine-tuned.
        history: what each epoch came to; AP50 is the simulation's.
        data: digests of the sets and of the float parent.
    """

    model: keras.Model
    ranges: Mapping[str, tuple[float, float]]
    plan: PrecisionPlan
    recipe: Recipe
    history: tuple[EpochRecord, ...]
    data: Mapping[str, str]

    @property
    def ap50(self) -> float | None:
        """AP50 of the simulation on the validation set after the epoch kept, None if there was no set."""
        return kept_epoch(self.history).ap50 if self.history else None

    def simulation(self) -> Simulation:
        """Return the simulated integer network."""
        return simulate(self.model, self.plan, self.ranges)

    def export(self) -> bytes:
        """Return the network as a float .tflite; `models.quant.produce` makes the integer graph of it."""
        return export_float(self.model)

    def graph_ranges(self, float_tflite: bytes) -> Ranges:
        """Return the trained ranges by the tensor names of the exported graph ``float_tflite``."""
        return _graph_ranges(float_tflite, self.ranges)

    def save(self, folder: Path) -> None:
        """Write the network; ``load(folder)`` gives an equal one."""
        folder.mkdir(parents=True, exist_ok=True)
        save_arrays_file(folder / "weights.npz", {n: v.numpy() for n, v in named_variables(self.model).items()})
        (folder / "recipe.toml").write_text(self.recipe.to_toml())
        self.plan.save(folder / "plan.json")
        (folder / "ranges.json").write_text(json.dumps({n: list(r) for n, r in self.ranges.items()}, indent=1) + "\n")
        write_record(folder / "history.json", self.recipe, self.history, self.data)

    @classmethod
    def load(cls, folder: Path) -> QatNetwork:
        """Read a network.

        Raises:
            TrainingError: the folder holds none, or a damaged one.
        """
        ranges = _read_ranges(folder)
        recipe = Recipe.load(folder / "recipe.toml")
        history, data = read_record(folder / "history.json")
        model = build(recipe.network.name, folded=True, **recipe.network.options)
        assign_variables(model, load_arrays_file(folder / "weights.npz"), folder)
        return cls(model, ranges, PrecisionPlan.load(folder / "plan.json"), recipe, history, data)


def load_ranges(folder: Path, float_tflite: bytes) -> Ranges:
    """Return the trained ranges in ``folder`` by the tensor names of its exported graph, without building the network.

    Raises:
        TrainingError: the folder holds no fine-tuned network.
    """
    return _graph_ranges(float_tflite, _read_ranges(folder))


def _graph_ranges(float_tflite: bytes, layers: Mapping[str, tuple[float, float]]) -> Ranges:
    """Return ranges by tensor name; a network's inputs are frames in [0, 1], which no layer's range says."""
    graph = Graph.parse(float_tflite)
    return Ranges.of_layers(graph, {**layers, **{tensor.name: UNIT_RANGE for tensor in graph.inputs}}, "qat")


def finetune_qat(
    trained: TrainedNetwork,
    recipe: Recipe,
    plan: PrecisionPlan,
    train_set: CaptureSet,
    val_set: CaptureSet | None,
    calibration_set: CaptureSet,
    folder: Path,
    progress: Listener | None = None,
    resume: bool = True,
    *,
    hard_set: CaptureSet | None = None,
) -> QatNetwork:
    """Fine-tune ``trained`` with simulated quantization and save the result in ``folder``.

    The same parent, recipe, plan and data resume from the folder's checkpoint, or return the finished network.

    Args:
        trained: the float parent; it also teaches.
        recipe: its ``qat`` and ``augmentation`` sections count.
        plan: which layer computes in what.
        train_set: what to learn from.
        val_set: what the simulation is judged on after each epoch; None measures nothing and goes to the end.
        calibration_set: what ranges start from.
        folder: where checkpoint and network are kept.
        progress: told about each step.
        resume: whether what is in the folder counts.
        hard_set: hard cases to learn from beside ``train_set``, e.g. mined ones; none of what anything is judged on.

    Raises:
        RecipeError: a rule of the plan names no layer.
        DataError: a set is empty or wrong.
        TrainingError: the loss is not finite, or a file in the folder is damaged.
    """
    sets = {"train": train_set, "calibration": calibration_set, "validation": val_set, "hard": hard_set}
    digests = _digests(trained, plan, sets)
    identity = run_identity("qat", recipe, digests)
    done = folder / "done"
    if resume and done.is_file() and done.read_text() == identity:
        return QatNetwork.load(folder)
    folder.mkdir(parents=True, exist_ok=True)
    done.unlink(missing_ok=True)
    keras.utils.set_random_seed(recipe.seed)
    folded, qat = trained.folded(), recipe.qat
    chosen = calibration_set.subset(range(min(qat.calibration, len(calibration_set))))
    simulation = simulate(folded, plan, calibrated_ranges(folded, plan, chosen, progress))
    settings = LoopSettings(
        Stage.FINE_TUNING, qat.epochs, qat.batch, 0.0, qat.ema, recipe.seed, recipe.augmentation, identity,
        patience=qat.patience,
    )  # fmt: skip
    groups = [
        Group(simulation.weights, qat.learning_rate),
        Group(simulation.range_variables, qat.range_learning_rate, until=1.0 - qat.freeze),
    ]
    objective = _objective(simulation.model, folded, qat)
    data = arrays_for(folded, train_set, progress)
    if hard_set is not None:
        data = data.joined(arrays_for(folded, hard_set, progress))
    loop = FitLoop(simulation.model, objective, data, groups, settings)
    parent = None if val_set is None else evaluated(folded, val_set)
    validate = validator(simulation.model, val_set, qat.epochs, 1, progress, parent)
    history = loop.run(folder / _CHECKPOINT, validate, progress, log=ScalarLog(folder / "tensorboard"), resume=resume)
    result = QatNetwork(
        simulation.copy_weights_to(trained.folded()), simulation.ranges(), plan, recipe, tuple(history), digests
    )
    result.save(folder)
    done.write_text(identity)
    (folder / _CHECKPOINT).unlink(missing_ok=True)
    return result


def calibrated_ranges(
    folded: keras.Model, plan: PrecisionPlan, captures: CaptureSet, progress: Listener | None = None
) -> dict[str, tuple[float, float]]:
    """Return the ranges to start from, by layer: least squared error for INT8, all that was seen and more for INT16.

    Raises:
        DataError: the set is empty, or the network gives values that are not finite.
    """

    def told(done: int, total: int) -> None:
        if progress is not None:
            progress(TrainingEvent(Stage.CALIBRATING, done, total))

    graph_bytes = export_float(folded)
    measured = calibrate(graph_bytes, captures, CalibrationMethod.MSE, told).tensors
    graph = Graph.parse(graph_bytes)
    found: dict[str, tuple[float, float]] = {}
    layers = {layer.name for layer in folded.layers}
    for index, names in tensor_names(graph).items():
        span = measured.get(graph.tensors[index].name)
        name = next((name for name in names if name in layers), None)
        if span is None or name is None:
            continue
        if plan.precision_of(name) is Precision.INT8:
            found[name] = (span.low, span.high)
        else:
            found[name] = (span.full_low, span.full_high)
    return found


def _objective(model: keras.Model, parent: keras.Model, qat: QatSettings) -> Callable[[TrainingBatch], LossParts]:
    """Return the loss: against the truth, the parent's answers and the parent's fused features."""
    loss = detection_loss(model)
    student = keras.Model(model.input, (model.output, fused_features(model)))
    teacher = keras.Model(parent.input, (parent.output, fused_features(parent)))

    def objective(batch: TrainingBatch) -> LossParts:
        frames = feed(model, batch.eo, batch.lwir)
        outputs, features = student(frames, training=True)
        parts = loss(outputs, batch)
        if not qat.teach and not qat.features:
            return parts
        taught, seen = keras.tree.map_structure(tf.stop_gradient, teacher(frames, training=False))
        extra = teach(outputs, taught)
        return LossParts(
            parts.classes + qat.teach * extra.classes,
            parts.boxes + qat.teach * extra.boxes,
            parts.kinematics + qat.teach * extra.kinematics,
            qat.features * teach_features(features, seen),
        )

    return objective


def _digests(trained: TrainedNetwork, plan: PrecisionPlan, sets: Mapping[str, CaptureSet | None]) -> dict[str, str]:
    found = {"parent": trained.digest, "plan": plan.digest}
    return found | {role: captures.digest for role, captures in sets.items() if captures is not None}


def _read_ranges(folder: Path) -> dict[str, tuple[float, float]]:
    path = folder / "ranges.json"
    if not path.is_file():
        raise TrainingError(f"{folder} holds no fine-tuned network; fine-tune one first")
    try:
        return {str(name): (float(low), float(high)) for name, (low, high) in json.loads(path.read_text()).items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise TrainingError(f"{path} cannot be read: {error}; fine-tune again") from error
