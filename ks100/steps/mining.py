"""Mining hard cases: evaluate earlier versions on a set (or read their evaluations), store the selected frames."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ks100.errors import UsageError
from ks100.steps.captures import load_captures
from ks100.steps.evaluating import evaluate_graph, read_graph
from models.captures import CaptureSet
from models.curation import Mined, MiningPolicy, MiningRecord, mine
from models.evaluation.evaluation import Evaluation
from models.progress import Progress
from models.readers import split_by_scene
from models.seal import seal

__all__ = ["MiningOutputs", "check_judges", "mine_hard_cases"]


@dataclass(frozen=True, slots=True)
class MiningOutputs:
    """Output folders.

    Attributes:
        dev: folder of the hard cases, or of the half for development.
        holdout: folder of the other half of the scenes, to be sealed; None leaves all in ``dev``.
        rest: folder of the scenes without selected frames, or None.
    """

    dev: Path
    holdout: Path | None = None
    rest: Path | None = None


def mine_hard_cases(
    source: Path,
    previous: Sequence[Path],
    judged: Sequence[Path],
    disjoint_from: Sequence[Path],
    policy: MiningPolicy,
    outputs: MiningOutputs,
    progress: Progress,
) -> tuple[Mined, dict[Path, CaptureSet]]:
    """Select hard cases of ``source`` and store them.

    Args:
        source: captures to mine.
        previous: earlier versions: graphs, packages, or evaluations on the source (JSON).
        judged: graphs that will be judged on the result; must not be among the earlier versions.
        disjoint_from: sets whose scenes are excluded.
        policy: size and composition.
        outputs: output folders.
        progress: progress callback.

    Returns:
        The selection, and the stored sets by folder.

    Raises:
        UsageError: a graph cannot be read, or an output is also an input.
        DataError: there are too few earlier versions, one of them is to be judged, or none failed.
    """
    targets = [p.resolve() for p in (outputs.dev, outputs.holdout, outputs.rest) if p is not None]
    taken = {p.resolve() for p in (source, *disjoint_from)}
    if len(set(targets)) < len(targets) or taken & set(targets):
        raise UsageError("each output needs its own folder, different from all inputs")
    captures = load_captures(source)[0].labelled
    scenes = {c.scene for path in disjoint_from for c in load_captures(path, "keep mined scenes apart")[0].captures}
    evaluations = [_evaluation(path, captures, _part(progress, k, len(previous))) for k, path in enumerate(previous)]
    if evaluations:
        captures = captures.with_classes(evaluations[0].classes)
    mined = mine(captures, evaluations, policy, judged=_digests(judged), disjoint_from=scenes)
    return mined, _store(mined, captures, outputs)


def check_judges(folder: Path, graphs: Sequence[Path]) -> MiningRecord:
    """Check that none of the graphs was used to mine the hard cases in ``folder``; return the mining record.

    Raises:
        DataError: one was, or the folder has no record.
    """
    record = MiningRecord.load(folder)
    record.check_judges(_digests(graphs))
    return record


def _digests(graphs: Sequence[Path]) -> dict[str, str]:
    return {hashlib.sha256(read_graph(path)).hexdigest(): str(path) for path in graphs}


def _evaluation(path: Path, captures: CaptureSet, progress: Progress) -> Evaluation:
    if path.suffix == ".json":
        return Evaluation.load(path)
    return evaluate_graph(path, captures, progress, model=path.stem)


def _part(progress: Progress, index: int, count: int) -> Progress:
    return lambda share, text: progress((index + share) / count, text)


def _store(mined: Mined, source: CaptureSet, outputs: MiningOutputs) -> dict[Path, CaptureSet]:
    parts = {outputs.dev: mined.captures}
    if outputs.holdout is not None:
        halves = split_by_scene(mined.captures, {"dev": 0.5, "holdout": 0.5}, mined.record.seed)
        parts = {outputs.dev: halves["dev"], outputs.holdout: halves["holdout"]}
    parts = {folder: replace(part, name=folder.name) for folder, part in parts.items()}
    for folder, part in parts.items():
        part.save(folder)
        chosen = {capture.id for capture in part.captures}
        frames = tuple(frame for frame in mined.record.frames if frame.id in chosen)
        replace(mined.record, frames=frames).save(folder)
        if folder == outputs.holdout:
            seal(folder, part.digest, "mined")
    if outputs.rest is not None:
        parts[outputs.rest] = source.subset(mined.rest, outputs.rest.name)
        parts[outputs.rest].save(outputs.rest)
    return parts
