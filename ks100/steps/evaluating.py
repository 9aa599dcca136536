"""Evaluating a graph on captures, and judging a candidate against its float parent."""

from __future__ import annotations

import hashlib
from pathlib import Path

from firmware_bridge.device.graph import Graph
from firmware_bridge.input_files import FileKind, kind_of, read_bytes, wrong_kind
from ks100.errors import UsageError
from ks100.steps.captures import load_captures
from models.captures import CaptureSet
from models.card.card import ModelCard
from models.card.decodings import Classifier
from models.card.feed import with_classes
from models.evaluation.by_frame import evaluate_found, evaluate_raw, with_one_class
from models.evaluation.gate import GatePolicy, GateResult, PairedEvaluations, judge
from models.evaluation.metrics import Evaluation
from models.evaluation.predict import card_of, predict
from models.progress import Progress, counted
from models.readers import Options

__all__ = ["card_for", "evaluate_graph", "judge_candidate", "package_card", "read_graph"]


def read_graph(path: Path) -> bytes:
    """Return a graph's bytes; those inside a package, if the file is one.

    Raises:
        InputError: the file cannot be read, or is of another kind.
        RejectedError: it is an incomplete or malformed package.
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
    card: ModelCard | None = None,
    parent: Path | None = None,
) -> Evaluation:
    """Run a graph on the labelled captures of a set on this host and evaluate its detections.

    Args:
        graph: a .tflite or a package.
        captures: the set or its path.
        progress: progress callback.
        model: name of the model; the file's stem if empty.
        runtime: ``litert`` or ``tflite-runtime``; the default one if None.
        detections_out: also write the detections to this file.
        card: of the graph; see `card_for` if None.
        parent: the float graph, the reference for outputs that are not decoded.

    Raises:
        DataError: the card does not fit the graph.
        UsageError: outputs are not decoded, and there is no float graph.
    """
    from firmware_bridge.device.runtime import default_runtime
    from models.evaluation.detections import save_detections

    data = read_graph(graph)
    card = card or card_for(graph)
    if isinstance(captures, Path):
        options = Options(wanted=card.classes)
        captures = load_captures(captures, f"evaluate {model or graph.stem}", options=options)[0]
    chosen = with_classes(captures.labelled, card)
    session, digest = default_runtime(runtime).load(data), hashlib.sha256(data).hexdigest()
    count = counted(progress, "{done}/{total} frames")
    if not card.detects:
        if parent is None:
            raise UsageError(
                f"{graph}: its card decodes nothing (raw): give the float graph to compare its outputs with"
            )
        exact = default_runtime(runtime).load(read_graph(parent))
        name = model or graph.stem
        return evaluate_raw(chosen, session, exact, card, name, model_digest=digest, progress=count)
    if isinstance(card.decoding, Classifier):
        chosen = with_one_class(chosen)
    detections = predict(session, chosen, count, card=card)
    if detections_out is not None:
        save_detections(detections_out, [c.id for c in chosen.captures], {model or graph.stem: detections})
    return evaluate_found(card, chosen, detections, model or graph.stem, model_digest=digest)


def card_for(graph: Path) -> ModelCard:
    """Return the card of a graph: signed into it if it is a package, beside it, or that of the project's own networks.

    Raises:
        DataError: no card.
        RecipeError: the one beside it is wrong.
    """
    return package_card(graph) or ModelCard.beside(graph) or card_of(Graph.parse(read_graph(graph)))


def package_card(path: Path) -> ModelCard | None:
    """Return the card signed into a package; None for a package without one, or a bare graph."""
    data = read_bytes(path, FileKind.GRAPH)
    if kind_of(data) is not FileKind.PACKAGE:
        return None
    from firmware_bridge.package.container import PackageFile

    return ModelCard.signed_into(PackageFile.of(data).manifest_unverified)


def judge_candidate(hard: tuple[Path, Path], validation: tuple[Path, Path] | None, policy: GatePolicy) -> GateResult:
    """Judge a candidate from the evaluations of (parent, candidate) on each set."""
    pairs = [PairedEvaluations(*(Evaluation.load(path) for path in pair)) for pair in (hard, validation) if pair]
    return judge(pairs[0], pairs[1] if len(pairs) > 1 else None, policy)
