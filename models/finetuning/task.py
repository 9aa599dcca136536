"""What a fine-tuning learns from and is judged by: labelled captures of our own networks, or samples of any graph.

Both are taught by the float graph. Captures add the detector's own loss and are judged by AP50 in each condition;
samples teach nothing but the float graph's answers, and are judged by how near to these the held-out outputs come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from firmware_bridge.device.graph import Graph
from models.captures import CaptureSet
from models.errors import DataError
from models.evaluation.evaluation import Evaluation
from models.networks import feed
from models.progress import Count
from models.quant import fidelity
from models.quant.feeds import Sample
from models.quant.simulation.trainable import TrainableGraph
from models.training.augment import Augmentation, TrainingBatch, augment, to_unit_batch
from models.training.batches import PIECE_STEPS, CaptureBatches
from models.training.data import TrainingArrays
from models.training.distil import teach, teach_features, teach_outputs
from models.training.loss import LossParts
from models.training.recipe import QatSettings
from models.training.train import detection_loss
from models.training.validate import Validation, evaluated, validation_of

__all__ = ["Batch", "CaptureTask", "SampleTask", "Task", "block_outputs", "split"]

Batch = Mapping[str, NDArray[Any]]
_AT_ONCE = 16
_BLOCKS = 8
_HOLD_OUT_EACH = 5
_FEW_STEPS = 20


class Task(Protocol):
    """Batches, what is minimised on them, and what is judged."""

    @property
    def pieces(self) -> int:
        """Pieces that a pass over the data is cut into; a checkpoint follows each."""
        ...

    @property
    def steps(self) -> int:
        """Steps in a piece."""
        ...

    @property
    def labelled(self) -> bool:
        """Whether there is more to learn than what the float graph answers."""
        ...

    def batch(self, piece: int, step: int) -> Batch:
        """Return one batch: equal numbers give equal batches."""
        ...

    def loss(self, student: TrainableGraph, batch: Mapping[str, tf.Tensor]) -> LossParts:
        """Return what is minimised on a batch."""
        ...

    def judge(self, student: TrainableGraph, progress: Count) -> Validation | None:
        """Return how good the student is on data that it does not learn from; None if there is none."""
        ...


def block_outputs(graph: Graph) -> tuple[int, ...]:
    """Return the tensors at which a graph's blocks end: those that more than one operation reads, at most eight.

    They are the residual streams, the levels of a pyramid and what an attention is fed with.
    """
    computed = {index for op in graph.ops for index in op.outputs if graph.tensors[index].dtype == "float32"}
    readers = [index for op in graph.ops for index in set(op.inputs) if index in computed]
    found = sorted({index for index in readers if readers.count(index) > 1})
    return tuple(
        found[place] for place in np.unique(np.linspace(0, len(found) - 1, min(_BLOCKS, len(found))).astype(int))
    )


def split(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    """Return what to learn from, and one sample in five that is held out.

    Raises:
        DataError: there are fewer than five.
    """
    if len(samples) < _HOLD_OUT_EACH:
        raise DataError(f"{len(samples)} samples are too few to learn from: give at least {_HOLD_OUT_EACH}")
    kept = [sample for place, sample in enumerate(samples) if place % _HOLD_OUT_EACH != _HOLD_OUT_EACH - 1]
    return kept, list(samples[_HOLD_OUT_EACH - 1 :: _HOLD_OUT_EACH])


class CaptureTask:
    """Labelled captures for a graph with the heads of `models.heads`."""

    labelled = True

    def __init__(
        self,
        teacher: TrainableGraph,
        blocks: Sequence[int],
        data: TrainingArrays,
        validation: CaptureSet | None,
        settings: QatSettings,
        augmentation: Augmentation,
        seed: int,
    ) -> None:
        """Learn from ``data`` and from ``teacher``, which stays as it is."""
        self._teacher, self._blocks, self._validation = teacher, tuple(blocks), validation
        self._settings, self._augmentation = settings, augmentation
        self._batches = CaptureBatches(data, settings.batch, seed, noise=augmentation.noise > 0)
        self._detection = detection_loss(teacher)
        self.pieces, self.steps = self._batches.pieces, self._batches.steps

    @cached_property
    def _parent(self) -> Evaluation:
        assert self._validation is not None
        return evaluated(self._teacher, self._validation)

    def batch(self, piece: int, step: int) -> Batch:
        """Return 8-bit frames, their truth, and the random numbers of their augmentation."""
        self._batches.piece = piece
        return self._batches[step][0]

    def loss(self, student: TrainableGraph, batch: Mapping[str, tf.Tensor]) -> LossParts:
        """Return the loss against the truth, the parent's answers and what the parent's blocks give."""
        settings = self._settings
        given = to_unit_batch(TrainingBatch(**{name: batch[name] for name in TrainingBatch._fields}))
        given = augment(given, self._augmentation, batch["draws"], batch.get("noise"))
        frames = feed(student, given.eo, given.lwir)
        blocks = self._blocks if settings.features else ()
        outputs, features = student.watched(frames, blocks)
        parts = self._detection(outputs, given)
        if not settings.teach and not settings.features:
            return parts
        taught, seen = tf.nest.map_structure(tf.stop_gradient, self._teacher.watched(frames, blocks))
        extra = teach(outputs, taught)
        return LossParts(
            parts.classes + settings.teach * extra.classes,
            parts.boxes + settings.teach * extra.boxes,
            parts.kinematics + settings.teach * extra.kinematics,
            settings.features * teach_features(features, seen),
        )

    def judge(self, student: TrainableGraph, progress: Count) -> Validation | None:
        """Return AP50, and what is lost against the parent in the condition that loses most."""
        if self._validation is None:
            return None
        return validation_of(evaluated(student, self._validation, progress), self._parent)


@dataclass(frozen=True)
class SampleTask:
    """Samples of any float graph, without labels.

    Attributes:
        teacher: the float graph, which stays as it is.
        blocks: tensors that are taught beside the outputs.
        samples: what to learn from.
        held_out: what the student is judged on.
        settings: batch and weights of the two kinds of teaching.
        seed: of the order.
    """

    teacher: TrainableGraph
    blocks: Sequence[int]
    samples: Sequence[Sample]
    held_out: Sequence[Sample]
    settings: QatSettings
    seed: int
    labelled: bool = False

    @property
    def _size(self) -> int:
        return min(self.settings.batch, len(self.samples))

    @property
    def _whole(self) -> int:
        """Steps of one pass over the samples."""
        return len(self.samples) // self._size

    @property
    def pieces(self) -> int:
        """Pieces of an epoch: one pass over the samples, or several where they are few."""
        return -(-self._whole // PIECE_STEPS)

    @property
    def steps(self) -> int:
        """Steps in a piece; judging costs as much as some steps, so there are twenty or more."""
        return self._whole // self.pieces * -(-_FEW_STEPS // self._whole)

    def batch(self, piece: int, step: int) -> Batch:
        """Return the inputs of some samples by name."""
        number, part = divmod(piece * self.steps + step, self._whole)
        order = np.random.default_rng([self.seed, number]).permutation(len(self.samples))
        return _stacked([self.samples[index] for index in order[part * self._size : (part + 1) * self._size]])

    def loss(self, student: TrainableGraph, batch: Mapping[str, tf.Tensor]) -> LossParts:
        """Return the distance to the float graph's outputs, and to what its blocks give."""
        blocks = self.blocks if self.settings.features else ()
        outputs, features = student.watched(batch, blocks)
        taught, seen = tf.nest.map_structure(tf.stop_gradient, self.teacher.watched(batch, blocks))
        nothing = tf.constant(0.0)
        return LossParts(
            teach_outputs(outputs, taught), nothing, nothing, self.settings.features * teach_features(features, seen)
        )

    def judge(self, student: TrainableGraph, progress: Count) -> Validation | None:
        """Return the centred SQNR of the output that is farthest from the float graph's."""
        if not self.held_out:
            return None
        expected, found = self._expected, _outputs(student, self.held_out)
        progress(len(found), len(found))
        return Validation(None, sqnr_db=min(output.sqnr_db for output in fidelity.compared(expected, found)))

    @cached_property
    def _expected(self) -> list[dict[str, NDArray[np.float32]]]:
        return _outputs(self.teacher, self.held_out)


def _stacked(samples: Sequence[Sample]) -> dict[str, NDArray[Any]]:
    """Return samples as one batch, each input's own first axis behind the batch unless it is one."""
    return {name: np.stack([sample.feed[name] for sample in samples]) for name in samples[0].feed}


def _outputs(graph: TrainableGraph, samples: Sequence[Sample]) -> list[dict[str, NDArray[np.float32]]]:
    found: list[dict[str, NDArray[np.float32]]] = []
    for first in range(0, len(samples), _AT_ONCE):
        part = samples[first : first + _AT_ONCE]
        outputs = {name: np.asarray(value) for name, value in graph(_stacked(part)).items()}
        found += [{name: value[row] for name, value in outputs.items()} for row in range(len(part))]
    return found
