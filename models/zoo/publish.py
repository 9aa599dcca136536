"""Publishing a trained network in the zoo: weights in 16 bits, and a record with figures measured on them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from firmware_bridge.files import replacing
from models.captures import CaptureSet
from models.zoo import RECORD, ConditionFigures, CurvePoint, NetworkRecord

if TYPE_CHECKING:
    from models.training.network import TrainedNetwork

__all__ = ["publish"]


def publish(
    network: TrainedNetwork,
    pools: Sequence[CaptureSet],
    folder: Path,
    *,
    stages: Sequence[TrainedNetwork] = (),
    captures: Sequence[str] = (),
    commit: str = "",
    notes: str = "",
    progress: Callable[[str, int, int], None] | None = None,
) -> NetworkRecord:
    """Write NAME.npz and NAME.json into ``folder``; NAME is the recipe's.

    Args:
        network: as trained; its model has the rounded weights afterwards.
        pools: the sets to evaluate on.
        folder: the output folder.
        stages: the networks of earlier stages, in order.
        captures: commands that generate the captures and train it.
        commit: of the code that trained it.
        notes: remarks for users.
        progress: called with (pool, captures done, captures in all).
    """
    from models.training.validate import evaluated
    from models.training.weights import named_variables

    name = network.recipe.name
    halves = {key: np.asarray(v.numpy(), np.float16) for key, v in named_variables(network.model).items()}
    for key, variable in named_variables(network.model).items():
        variable.assign(halves[key].astype(np.float32))
    figures: list[ConditionFigures] = []
    for pool in pools:
        found = evaluated(network.model, pool, None if progress is None else _shown(progress, pool.name))
        figures += [
            ConditionFigures(
                pool.name, part.axis, part.category, part.frames, part.objects, part.ap50,
                part.recall, part.range_error, part.velocity_error_mps,
            )
            for part in found.slices
        ]  # fmt: skip
    curve = tuple(
        CurvePoint(
            part.recipe.name, item.epoch, item.loss, item.classes, item.boxes, item.kinematics, item.seconds,
            math.nan if item.ap50 is None else item.ap50,
        )
        for part in (*stages, network)
        for item in part.history
    )  # fmt: skip
    made = NetworkRecord(
        name, network.recipe.to_toml(), network.digest, dict(network.data), tuple(captures), commit, tuple(figures),
        curve, notes,
    )  # fmt: skip
    with replacing(folder / f"{name}.npz") as file:
        np.savez_compressed(file, **{key: halves[key] for key in sorted(halves)})
    RECORD.save(made, folder / f"{name}.json")
    return made


def _shown(progress: Callable[[str, int, int], None], pool: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(pool, done, total)
