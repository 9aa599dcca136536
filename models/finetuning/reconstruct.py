"""Reconstruction: weights, biases and ranges of a quantized graph, moved until its blocks give what float ones give.

It stands between calibration and fine-tuning: the calibration samples are all it takes, without labels. All blocks are
reconstructed at once, each towards the float graph's own output of it, and the outputs with them (the objective of
BRECQ, Li et al. 2021, whose blocks are fitted one by one); gradients pass the roundings. One sample in five chooses
where to stop, and what is no better there is not taken; of few samples that says little about other data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import keras

from models.finetuning.loop import TuningLoop
from models.finetuning.task import SampleTask, block_outputs, split
from models.quant.feeds import Sample
from models.quant.plan import Precision, PrecisionPlan
from models.quant.ranges import Ranges
from models.quant.simulation.engine import Simulation
from models.quant.simulation.trainable import TrainableGraph
from models.training.events import Listener, Stage
from models.training.recipe import QatSettings

__all__ = ["Reconstructed", "reconstruct"]

_STEPS = 200
_SEED = 1


@dataclass(frozen=True)
class Reconstructed:
    """What a reconstruction came to.

    Attributes:
        float_tflite: the float graph with the weights as they were moved.
        ranges: of its activations, those of INT8 as they were moved.
        epochs: passes over the samples that were kept; 0 where none was better than the start.
    """

    float_tflite: bytes
    ranges: Ranges
    epochs: int


def reconstruct(
    float_tflite: bytes,
    start: bytes,
    ranges: Ranges,
    plan: PrecisionPlan,
    samples: Sequence[Sample],
    checkpoint: Path,
    *,
    runtime: str = "litert",
    allow_float: bool = False,
    progress: Listener | None = None,
) -> Reconstructed:
    """Reconstruct a graph that was quantized after training.

    Args:
        float_tflite: the float graph, which teaches.
        start: the float graph that calibration ended with: equalized, corrected, or the same.
        ranges: of ``start``.
        plan: which layer computes in what.
        samples: the calibration samples; five or more.
        checkpoint: written on the way, resumed from, and removed at the end.
        runtime: of the board.
        allow_float: leave operations float that cannot have the planned type.
        progress: called as it advances.

    Raises:
        QuantizationError: an operation cannot be simulated.
        TrainingError: the loss is not finite.
    """
    keras.utils.set_random_seed(_SEED)
    simulation = Simulation(start, ranges)
    student = TrainableGraph(simulation, simulation.assignment(plan, runtime, allow_float=allow_float))
    teacher = TrainableGraph(Simulation(float_tflite, ranges), (Precision.FP32,) * len(simulation.nodes))
    kept, held_out = split(samples)
    settings = QatSettings(batch=8, learning_rate=1e-4, range_learning_rate=1e-3, freeze=0.0, features=1.0, patience=3)
    task = SampleTask(teacher, block_outputs(simulation.graph), kept, held_out, settings, _SEED)
    settings = replace(settings, epochs=math.ceil(_STEPS / (task.pieces * task.steps)))
    loop = TuningLoop(student, task, settings, Stage.RECONSTRUCTING, ranges.digest)
    loop.run(checkpoint, progress, from_start=True)
    checkpoint.unlink(missing_ok=True)
    source = f"{ranges.source}, reconstructed"
    return Reconstructed(student.float_graph(), student.ranges(ranges, source), loop.kept)
