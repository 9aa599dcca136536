"""Plans as real graphs: exported, run, and measured on captures, before one is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.device.runtime import LiteRt, Session
from models.evaluation.evaluation import Evaluation, FrameRecord
from models.evaluation.matching import match_frame
from models.evaluation.metrics import recalculate
from models.evaluation.predict import dequantize_outputs, quantize_inputs
from models.heads import decode
from models.progress import Count
from models.quant.plan import PrecisionPlan
from models.quant.produce import produce
from models.sensitivity.intervals import Interval, scene_draws, scene_interval
from models.sensitivity.study import PoolData, Study

__all__ = ["Trial", "chosen_of", "run_graph", "try_plan"]


@dataclass(frozen=True)
class Trial:
    """One real graph on one pool.

    Attributes:
        model: the graph.
        evaluation: its figures at IoU 0.5, by condition.
        divergence: from the float graph by condition category, ``all`` first.
    """

    model: bytes
    evaluation: Evaluation
    divergence: dict[str, Interval]

    @property
    def worst(self) -> float:
        """Its divergence in the condition where that is largest."""
        return max(figure.value for figure in self.divergence.values())


def try_plan(
    study: Study, pool: str, plan: PrecisionPlan, runtime: str = "litert", progress: Count | None = None
) -> Trial:
    """Export ``plan`` and run it, beside the float graph, on every frame of a pool.

    Raises:
        QuantizationError: the graph cannot be produced as the plan asks.
    """
    model = produce(study.float_tflite, plan, study.ranges, runtime)
    return run_graph(study, pool, LiteRt().load(model), model, plan.name, progress)


def run_graph(
    study: Study, pool: str, session: Session, model: bytes, name: str, progress: Count | None = None
) -> Trial:
    """Run a graph that a session has loaded, here or on a board, beside the float one, on every frame of a pool."""
    data, plain = study.pools[pool], LiteRt().load(study.float_tflite)
    divergence, records = np.zeros(len(data)), []
    for index, capture in enumerate(data.captures):
        outputs = _outputs(session, data, index)
        divergence[index] = _divergence(_outputs(plain, data, index), outputs)
        match = match_frame(capture, decode(outputs))
        records.append(FrameRecord(capture.id, capture.scene, capture.conditions.items, match))
        if progress is not None:
            progress(index + 1, len(data))
    draws = scene_draws(data.scenes())
    return Trial(
        model=model,
        evaluation=recalculate(Evaluation(name, pool, data.digest, "", 0.0, (), tuple(records))),
        divergence={c: scene_interval(divergence, draws, mask) for c, mask in data.categories().items()},
    )


def _outputs(session: Session, data: PoolData, index: int) -> dict[str, NDArray[np.float32]]:
    inputs = quantize_inputs(session.graph, data.arrays.eo[index], data.arrays.lwir[index, :, :, 0])
    return dequantize_outputs(session.graph, session.run(inputs))


def _divergence(reference: dict[str, NDArray[np.float32]], outputs: dict[str, NDArray[np.float32]]) -> float:
    import tensorflow as tf

    from models.sensitivity.losses import Reference

    held, found = ({name: tf.constant(value) for name, value in side.items()} for side in (reference, outputs))
    return float(Reference(held).divergence(found)[0])


def chosen_of(trials: Sequence[Trial]) -> int:
    """Return the position of the trial with the least divergence in its worst condition."""
    return min(range(len(trials)), key=lambda index: trials[index].worst)
