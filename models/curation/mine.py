"""Hard-case mining: first a random arm, then the frames on which earlier versions failed most.

The random arm is drawn before failures are known, so it remains an unbiased sample of the source: adversarial mining
oversamples contentious labels and blind spots of single models, and comparing the arms shows how much.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from models.captures import Capture, CaptureSet, Conditions
from models.curation.failures import FrameFailures, failures
from models.curation.mining_record import ARM_AXIS, Arm, MinedFrame, MiningRecord, check_apart
from models.errors import DataError
from models.evaluation.evaluation import Evaluation

__all__ = ["Mined", "MiningPolicy", "mine"]


@dataclass(frozen=True, slots=True)
class MiningPolicy:
    """Size and composition of the hard cases.

    Attributes:
        count: total number of frames.
        random_fraction: fraction in the random arm.
        per_scene: maximum number of mined frames per scene: verdicts resample scenes, further frames of one add little.
        seed: of the random arm.
    """

    count: int = 200
    random_fraction: float = 0.25
    per_scene: int = 2
    seed: int = 1

    def __post_init__(self) -> None:
        if self.count < 1 or not 0 <= self.random_fraction < 1 or self.per_scene < 1 or self.seed < 0:
            raise DataError(
                f"cannot mine {self.count} frames, a random fraction of {self.random_fraction:g} and {self.per_scene} "
                "per scene; give at least 1 frame, a fraction from 0 to below 1, at least 1 per scene and a seed from 0"
            )


@dataclass(frozen=True)
class Mined:
    """Hard cases.

    Attributes:
        captures: the selected captures in the source's order, each with its arm as a condition.
        rest: indices of the captures of all scenes without a selected one.
        record: how they were selected.
    """

    captures: CaptureSet
    rest: tuple[int, ...]
    record: MiningRecord


def mine(
    captures: CaptureSet,
    previous: Sequence[Evaluation],
    policy: MiningPolicy | None = None,
    *,
    judged: Mapping[str, str] | None = None,
    disjoint_from: Collection[str] = (),
) -> Mined:
    """Select hard cases of ``captures`` by the failures of earlier versions.

    Args:
        captures: the source.
        previous: evaluations of at least two earlier versions on ``captures``.
        policy: size and composition; the default if None.
        judged: names, by SHA-256, of the graphs that the gate will judge on the result: a candidate and its float
            parent.
        disjoint_from: scenes of other pools, which are excluded.

    Raises:
        DataError: a judged graph is among the earlier versions, the evaluations are too few or not of these captures,
            or no frame is left.
    """
    policy = policy or MiningPolicy()
    models = {evaluation.model_digest: evaluation.model for evaluation in previous}
    check_apart(models, judged or {})
    failed = failures(previous)
    if previous[0].data_digest != captures.digest:
        raise DataError(
            f"{previous[0].model} was evaluated on {previous[0].pool}, which is not {captures.name}; evaluate it there"
        )
    open_to = [i for i, capture in enumerate(captures.captures) if capture.scene not in set(disjoint_from)]
    random = _draw_random(open_to, policy)
    mined = _pick(captures, failed, [i for i in open_to if i not in random], policy)
    if not random and not mined:
        raise DataError(f"{captures.name}: no earlier version failed on a frame outside of the other pools' scenes")
    chosen = dict.fromkeys(random, Arm.RANDOM) | dict.fromkeys(mined, Arm.MINED)
    return _result(captures, failed, dict(sorted(chosen.items())), models, policy)


def _draw_random(open_to: Sequence[int], policy: MiningPolicy) -> frozenset[int]:
    count = min(round(policy.count * policy.random_fraction), len(open_to))
    order = np.random.default_rng(policy.seed).permutation(len(open_to))
    return frozenset(open_to[int(k)] for k in order[:count])


def _pick(
    captures: CaptureSet, failed: Sequence[FrameFailures], open_to: Sequence[int], policy: MiningPolicy
) -> list[int]:
    """Return the frames with the most failures, limited per scene."""
    wanted = policy.count - round(policy.count * policy.random_fraction)
    order = sorted((i for i in open_to if failed[i].failed), key=lambda i: (*(-r for r in failed[i].rank), i))
    taken: Counter[str] = Counter()
    picked: list[int] = []
    for index in order:
        scene = captures.captures[index].scene
        if len(picked) < wanted and taken[scene] < policy.per_scene:
            taken[scene] += 1
            picked.append(index)
    return picked


def _result(
    captures: CaptureSet,
    failed: Sequence[FrameFailures],
    chosen: Mapping[int, Arm],
    models: Mapping[str, str],
    policy: MiningPolicy,
) -> Mined:
    frames = tuple(_frame(captures.captures[index].id, arm, failed[index]) for index, arm in chosen.items())
    picked = captures.subset(list(chosen), f"{captures.name}-hard")
    marked = tuple(_marked(captures.captures[index], arm) for index, arm in chosen.items())
    scenes = {capture.scene for capture in picked.captures}
    rest = tuple(i for i, capture in enumerate(captures.captures) if capture.scene not in scenes)
    return Mined(replace(picked, captures=marked), rest, MiningRecord(captures.digest, models, policy.seed, frames))


def _frame(name: str, arm: Arm, failed: FrameFailures) -> MinedFrame:
    return MinedFrame(
        name, arm, failed.agreed, failed.by_all, round(failed.missed, 3), round(failed.false_alarms, 3)
    )  # fmt: skip


def _marked(capture: Capture, arm: Arm) -> Capture:
    kept = tuple(pair for pair in capture.conditions.items if pair[0] != ARM_AXIS)
    return replace(capture, conditions=Conditions((*kept, (ARM_AXIS, arm.value))))
