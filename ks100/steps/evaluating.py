"""Measuring a graph on captures, and judging a candidate against its float parent."""

from __future__ import annotations

import hashlib
from pathlib import Path

from firmware_bridge.given_files import FileKind, kind_of, read_bytes, wrong_kind
from ks100.steps.captures import load_captures
from models.captures import CaptureSet
from models.evaluation.gate import GatePolicy, GateResult, PairedEvaluations, judge
from models.evaluation.metrics import Evaluation, evaluate
from models.progress import Progress, counted

__all__ = ["evaluate_graph", "judge_candidate", "read_graph"]


def read_graph(path: Path) -> bytes:
    """Return a graph's bytes; those inside a package, if the file is one.

    Raises:
        InputError: the file cannot be read, or is plainly of another kind.
        RejectedError: it is a package, and not a whole one.
    """
    data = read_bytes(path, FileKind.GRAPH)
    if kind_of(data) is FileKind.PACKAGE:
        from firmware_bridge.package.container import PackageFile

        return PackageFile.of(data).payload()
    if (wrong := wrong_kind(path, data, FileKind.GRAPH)) is not None:
        raise wrong
    return data


def evaluate_graph(
    graph: Path,
    captures: CaptureSet | Path,
    progress: Progress,
    *,
    model: str = "",
    runtime: str | None = None,
    detections_out: Path | None = None,
) -> Evaluation:
    """Run a graph over the labelled ones of some captures on this host and judge what it found.

    Args:
        graph: a .tflite or a package.
        captures: the set, or where it is.
        progress: told how far it is.
        model: what to call it; the file's stem if empty.
        runtime: ``litert`` or ``tflite-runtime``; the default one if None.
        detections_out: also write what was found to this file.
    """
    from firmware_bridge.device.runtime import default_runtime
    from models.evaluation.detections import save_detections
    from models.evaluation.predict import predict

    data = read_graph(graph)
    chosen = (
        captures if isinstance(captures, CaptureSet) else load_captures(captures, f"evaluate {model or graph.stem}")[0]
    )
    chosen = chosen.labelled
    session = default_runtime(runtime).load(data)
    detections = predict(session, chosen, counted(progress, "{done}/{total} frames"))
    if detections_out is not None:
        save_detections(detections_out, [c.id for c in chosen.captures], {model or graph.stem: detections})
    return evaluate(chosen, detections, model or graph.stem, model_digest=hashlib.sha256(data).hexdigest())


def judge_candidate(hard: tuple[Path, Path], validation: tuple[Path, Path] | None, policy: GatePolicy) -> GateResult:
    """Judge a candidate from the evaluations of (parent, candidate) on each set."""
    pairs = [PairedEvaluations(*(Evaluation.load(path) for path in pair)) for pair in (hard, validation) if pair]
    return judge(pairs[0], pairs[1] if len(pairs) > 1 else None, policy)
