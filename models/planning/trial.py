"""Trials of plans as real graphs: exported, run and evaluated on captures before one is chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware_bridge.device.runtime import LiteRt, Session
from models.evaluation.evaluation import Evaluation, FrameRecord
from models.evaluation.matching import match_frame
from models.evaluation.metrics import recalculate
from models.heads import decode
from models.progress import Count
from models.quant.feeds import dequantized, quantized
from models.quant.plan import PrecisionPlan
from models.quant.produce import produce
from models.sensitivity.intervals import Interval, scene_draws, scene_interval
from models.sensitivity.pools import CapturePool
from models.sensitivity.study import Study

__all__ = ["Trial", "chosen_of", "run_graph", "try_plan"]


@dataclass(frozen=True)
class Trial:
    """One real graph on one pool.

    Attributes:
        model: the graph.
        evaluation: its figures at IoU 0.5, by condition; None without truth.
        divergence: from the float graph by condition category, ``all`` first.
    """

    model: bytes
    evaluation: Evaluation | None
    divergence: dict[str, Interval]

    @property
    def worst(self) -> float:
        """Its divergence in the worst condition."""
        return max(figure.value for figure in self.divergence.values())


def try_plan(
    study: Study, pool: str, plan: PrecisionPlan, runtime: str = "litert", progress: Count | None = None
) -> Trial:
    """Export ``plan`` and run it and the float graph on every frame of a pool.

    Raises:
        QuantizationError: the graph cannot be produced according to the plan.
    """
    model = produce(study.float_tflite, plan, study.ranges, runtime)
    return run_graph(study, pool, LiteRt().load(model), model, plan.name, progress)


def run_graph(
    study: Study, pool: str, session: Session, model: bytes, name: str, progress: Count | None = None
) -> Trial:
    """Run the graph of a session (local or on a board) and the float graph on every frame of a pool."""
    data, plain = study.pools[pool], LiteRt().load(study.fitted)
    divergence, records = np.zeros(len(data)), []
    for index in range(len(data)):
        feed = {name: value[0] for name, value in data.feed([index]).items()}
        outputs = _outputs(session, feed)
        divergence[index] = _divergence(study, _outputs(plain, feed), outputs)
        if study.has_truth and isinstance(data, CapturePool):
            capture = data.captures[index]
            match = match_frame(capture, decode(outputs))
            records.append(FrameRecord(capture.id, capture.scene, capture.conditions.items, match))
        if progress is not None:
            progress(index + 1, len(data))
    draws = scene_draws(data.scenes())
    judged = Evaluation(name, pool, data.digest, "", 0.0, (), tuple(records))
    return Trial(
        model=model,
        evaluation=recalculate(judged) if records else None,
        divergence={c: scene_interval(divergence, draws, mask) for c, mask in data.categories().items()},
    )


def _outputs(session: Session, feed: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    shaped = {t.name: np.asarray(feed[t.name], np.float32).reshape(t.shape) for t in session.graph.inputs}
    return dequantized(session.run(quantized(shaped, session.graph)), session.graph)


def _divergence(study: Study, reference: Mapping[str, Any], outputs: Mapping[str, Any]) -> float:
    import tensorflow as tf

    from models.sensitivity.losses import Reference, weigher

    held, found = ({name: tf.constant(value) for name, value in side.items()} for side in (reference, outputs))
    return float(Reference(held, weigher(held, study.spans)).divergence(found)[0])


def chosen_of(trials: Sequence[Trial]) -> int:
    """Return the position of the trial with the minimum divergence in its worst condition."""
    return min(range(len(trials)), key=lambda index: trials[index].worst)
