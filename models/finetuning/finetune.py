"""Fine-tuning of a float graph under a precision plan, its float twin, and the result as a folder.

float.tflite     the float graph with the weights as trained; `models.quant.produce` makes the integer graph of it
ranges.json      the range of each activation, those of INT8 as trained
plan.json        the precision plan
twin.tflite      the float graph trained as long on the same data: what training alone gives
finetune.json    how it went: one record an epoch, settings, digests of the data
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import keras

from firmware_bridge.device.graph import Graph
from firmware_bridge.files import write_atomically
from models.captures import CaptureSet
from models.errors import DataError, TrainingError
from models.finetuning.loop import TuningLoop
from models.finetuning.task import CaptureTask, SampleTask, Task, block_outputs, split
from models.heads import INPUT_EO, INPUT_LWIR, is_grid
from models.quant.calibrate import CalibrationMethod, calibrate
from models.quant.feeds import Sample, evenly, samples_digest, samples_of
from models.quant.plan import Precision, PrecisionPlan
from models.quant.ranges import Ranges
from models.quant.simulation.engine import Simulation
from models.quant.simulation.trainable import TrainableGraph
from models.training.augment import Augmentation
from models.training.data import load_arrays
from models.training.events import Listener, Stage, TrainingEvent
from models.training.history import EpochRecord
from models.training.recipe import QatSettings
from models.training.scalars import ScalarLog

__all__ = ["FineTuned", "TuningData", "finetune", "learns_labels"]

FLOAT, RANGES, PLAN, TWIN, RECORD = "float.tflite", "ranges.json", "plan.json", "twin.tflite", "finetune.json"
_SCHEMA = 1


@dataclass(frozen=True)
class TuningData:
    """What a fine-tuning learns from: captures with their labels, or samples of any graph.

    Attributes:
        train: what to learn from; of samples one in five is held out instead of ``validation``.
        validation: captures that each epoch is judged on; None judges none and goes to the end.
        calibration: what ranges start from; the training data if None.
        hard: hard cases to learn from beside ``train``, e.g. mined ones.
    """

    train: CaptureSet | Sequence[Sample]
    validation: CaptureSet | None = None
    calibration: CaptureSet | None = None
    hard: CaptureSet | None = None

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 (hex) of each set by its role."""
        roles = {"train": self.train, "validation": self.validation, "calibration": self.calibration, "hard": self.hard}
        return {
            role: data.digest if isinstance(data, CaptureSet) else samples_digest(data)
            for role, data in roles.items()
            if data is not None
        }


@dataclass(frozen=True)
class FineTuned:
    """A float graph fine-tuned for integer arithmetic.

    Attributes:
        float_tflite: with the weights as trained.
        ranges: of its activations; what is produced with them computes what was simulated.
        plan: which layer computes in what.
        twin: the float twin; None where none was made, and the parent itself where there were no labels.
        history: what each epoch came to; its figures are the simulation's.
        kept: the epoch that is kept; 0 is the start.
        data: digests of the sets and of the float parent.
    """

    float_tflite: bytes
    ranges: Ranges
    plan: PrecisionPlan
    twin: bytes | None
    history: tuple[EpochRecord, ...]
    kept: int
    data: Mapping[str, str] = field(default_factory=dict)

    @property
    def ap50(self) -> float | None:
        """AP50 of the simulation on the validation set after the epoch kept, None if there was no set."""
        return self.history[self.kept - 1].ap50 if self.kept else None

    @property
    def sqnr_db(self) -> float | None:
        """Centred SQNR of the worst output on held-out samples after the epoch kept, None if there are none."""
        return self.history[self.kept - 1].sqnr_db if self.kept else None

    def save(self, folder: Path, identity: str, settings: Mapping[str, Any]) -> None:
        """Write the folder, its record last; ``load(folder)`` gives an equal value."""
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / FLOAT, self.float_tflite)
        self.ranges.save(folder / RANGES)
        self.plan.save(folder / PLAN)
        if self.twin is not None:
            write_atomically(folder / TWIN, self.twin)
        record = {
            "schema": _SCHEMA, "identity": identity, "kept": self.kept, "data": dict(self.data),
            "settings": dict(settings), "epochs": [asdict(item) for item in self.history],
        }  # fmt: skip
        write_atomically(folder / RECORD, json.dumps(record, indent=1).encode() + b"\n")

    @classmethod
    def load(cls, folder: Path) -> FineTuned:
        """Read a folder.

        Raises:
            TrainingError: it holds no fine-tuned network, or a damaged one.
        """
        record = _record(folder)
        if record is None:
            raise TrainingError(f"{folder} holds no fine-tuned network; make one with `ks100 finetune`")
        try:
            twin = folder / TWIN
            history = tuple(EpochRecord(**item) for item in record["epochs"])
            return cls(
                (folder / FLOAT).read_bytes(), Ranges.load(folder / RANGES), PrecisionPlan.load(folder / PLAN),
                twin.read_bytes() if twin.is_file() else None, history, int(record["kept"]), dict(record["data"]),
            )  # fmt: skip
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise TrainingError(f"{folder} cannot be read: {error}; fine-tune again") from error


def finetune(
    float_tflite: bytes,
    plan: PrecisionPlan,
    data: TuningData,
    folder: Path,
    settings: QatSettings | None = None,
    *,
    augmentation: Augmentation | None = None,
    seed: int = 1,
    twin: bool = True,
    runtime: str = "litert",
    allow_float: bool = False,
    progress: Listener | None = None,
    resume: bool = True,
) -> FineTuned:
    """Fine-tune a float graph through the simulation of its integer form, and save the result in ``folder``.

    The same graph, plan, data and settings resume from the folder's checkpoint, or return what is finished.

    Args:
        float_tflite: the float parent; it also teaches.
        plan: which layer computes in what.
        data: captures, for a graph with the heads of `models.heads`, or samples for any graph.
        folder: where checkpoints and the result are kept.
        settings: how; the defaults if None.
        augmentation: of captures; the defaults if None.
        seed: of order and augmentation.
        twin: whether the float twin is trained too; without labels it has nothing to learn, and is the parent.
        runtime: of the board.
        allow_float: leave operations float that cannot have the planned type.
        progress: called as it advances.
        resume: whether what is in the folder counts.

    Raises:
        RecipeError: the plan names no layer.
        DataError: graph or data are wrong.
        QuantizationError: an operation cannot be quantized as planned, or cannot be simulated.
        TrainingError: the loss is not finite, or a file in the folder is damaged.
    """
    settings, augmentation = settings or QatSettings(), augmentation or Augmentation()
    chosen = {"qat": asdict(settings), "augmentation": asdict(augmentation), "seed": seed, "runtime": runtime}
    digests = {"parent": hashlib.sha256(float_tflite).hexdigest(), "plan": plan.digest, **data.digests}
    identity = _identity(chosen, digests, twin=twin, allow_float=allow_float)
    if resume and (_record(folder) or {}).get("identity") == identity:
        return FineTuned.load(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD).unlink(missing_ok=True)
    keras.utils.set_random_seed(seed)
    ranges = _starting_ranges(float_tflite, data, settings, progress)
    simulation = Simulation(float_tflite, ranges)
    assignment = simulation.assignment(plan, runtime, allow_float=allow_float)
    everything_float = (Precision.FP32,) * len(assignment)
    teacher, student = (TrainableGraph(simulation, ways) for ways in (everything_float, assignment))
    task = _task(teacher, simulation.graph, data, settings, augmentation, seed, progress)
    loop = TuningLoop(student, task, settings, Stage.FINE_TUNING, identity)
    log = ScalarLog(folder / "tensorboard")
    checkpoint, of_twin = folder / "checkpoint.npz", folder / "twin-checkpoint.npz"
    loop.run(checkpoint, progress, log=log, resume=resume, from_start=not task.labelled)
    made: bytes | None = float_tflite if twin else None
    if twin and task.labelled:
        other = TrainableGraph(simulation, everything_float)
        TuningLoop(other, task, _as_long(settings, len(loop.history)), Stage.TWIN, identity).run(
            of_twin, progress, resume=resume
        )
        made = other.float_graph()
    result = FineTuned(
        student.float_graph(), student.ranges(ranges, "fine-tuned"), plan, made, tuple(loop.history), loop.kept, digests
    )
    result.save(folder, identity, chosen)
    for path in (checkpoint, of_twin):
        path.unlink(missing_ok=True)
    return result


def learns_labels(graph: Graph) -> bool:
    """Tell whether a graph has the inputs and outputs of `models.heads`, whose loss is known."""
    return {t.name for t in graph.inputs} <= {INPUT_EO, INPUT_LWIR} and is_grid(t.name for t in graph.outputs)


def _as_long(settings: QatSettings, epochs: int) -> QatSettings:
    """Return the settings of a run of exactly so many epochs."""
    return replace(settings, epochs=epochs, patience=0)


def _task(
    teacher: TrainableGraph,
    graph: Graph,
    data: TuningData,
    settings: QatSettings,
    augmentation: Augmentation,
    seed: int,
    progress: Listener | None,
) -> Task:
    """Return what there is to learn from ``data``."""
    blocks = block_outputs(graph)
    if not isinstance(data.train, CaptureSet):
        samples = samples_of(data.train, graph)
        kept, held_out = split(samples)
        return SampleTask(teacher, blocks, kept, held_out, settings, seed)
    if not learns_labels(graph):
        given, found = ([tensor.name for tensor in side] for side in (graph.inputs, graph.outputs))
        raise DataError(
            f"captures have labels for graphs of the inputs eo and lwir and the outputs cls_*, box_* and kin_*; this"
            f" one has {', '.join(given)} and {', '.join(found)}: give it samples instead"
        )
    _, height, width, _ = graph.inputs[0].shape

    def count(done: int, total: int) -> None:
        if progress is not None:
            progress(TrainingEvent(Stage.LOADING, done, total))

    arrays = load_arrays(data.train, height, width, count)
    if data.hard is not None:
        arrays = arrays.joined(load_arrays(data.hard, height, width, count))
    return CaptureTask(teacher, blocks, arrays, data.validation, settings, augmentation, seed)


def _starting_ranges(float_tflite: bytes, data: TuningData, settings: QatSettings, progress: Listener | None) -> Ranges:
    """Return the ranges to start from: least squared error for INT8, all that was seen and more for INT16."""

    def count(done: int, total: int) -> None:
        if progress is not None:
            progress(TrainingEvent(Stage.CALIBRATING, done, total))

    source = data.train if data.calibration is None else data.calibration
    if isinstance(source, CaptureSet):
        step = max(1, len(source) // settings.calibration)
        chosen: CaptureSet | list[Sample] = source.subset(range(0, len(source), step)[: settings.calibration])
    else:
        chosen = list(evenly(source, settings.calibration))
    return calibrate(float_tflite, chosen, CalibrationMethod.MSE, count)


def _identity(settings: Mapping[str, Any], digests: Mapping[str, str], **flags: bool) -> str:
    """Return what a run is identified by: equal settings, graph, plan and data mean an equal result."""
    return hashlib.sha256(json.dumps([settings, dict(digests), flags], sort_keys=True).encode()).hexdigest()


def _record(folder: Path) -> dict[str, Any] | None:
    """Return the record in a folder, None if there is none."""
    path = folder / RECORD
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise TrainingError(f"{path} cannot be read: {error}; fine-tune again") from error
    return found if isinstance(found, dict) else None
