"""Building the report of a run folder from its files."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from firmware_bridge.device.cost import cost
from firmware_bridge.device.graph import Graph
from firmware_bridge.device.profile import BoardProfile
from firmware_bridge.package.container import PackageFile
from hil.measurements.accuracy import accuracy_record
from hil.measurements.requirements import Requirements
from hil.measurements.results import RESULTS_FILE, HilResults
from hil.report import Report, write_html, write_json, write_junit
from hil.report.facts import difference_rows, gate_summary, precision_rows
from hil.report.figures import Figure
from hil.report.model import CustodyRow, DetectionPicture, DifferenceRow, StepRow, StepState
from hil.report.pictures import detection_picture, most_different
from ks100.custody.chain import chain_of
from ks100.custody.log import CustodyLog
from ks100.errors import CustodyError, UsageError
from ks100.layout import CANDIDATE, FRONT, GRAPHS, POOLS, PROFILE, SENSITIVITY, detections_file, evaluation_file
from ks100.run_folder import Outcome
from ks100.steps.demo_boards import read_pushes, read_rejections
from ks100.steps.planning import read_front
from ks100.steps.release import CUSTODY, PACKAGE, verify_custody
from ks100.steps.sensitivity import map_figures
from models.captures import CaptureSet, stored_length
from models.evaluation.detections import DETECTIONS_FILE, load_detections
from models.evaluation.gate import GateResult
from models.evaluation.metrics import Evaluation
from models.quant.layer_names import names_of
from models.records import plain, structured, write_plain
from models.sensitivity.map import SensitivityMap

__all__ = ["HIL", "build_report", "save_outcomes", "write_report"]

HIL = "hil-results"
_OUTCOMES = "steps.json"
_PICTURES = 6
_TOP_GROUPS = 20
_HARD = "hard-holdout"
_ATTENTION = re.compile(r"fusion_\d+")


def save_outcomes(run: Path, outcomes: Sequence[Outcome]) -> None:
    """Save the outcomes of the steps for a later report."""
    write_plain(run / _OUTCOMES, plain(tuple(outcomes)))


def write_report(run: Path) -> Report:
    """Write ``report.html``, ``report.json`` and ``junit.xml`` into the run folder.

    Raises:
        UsageError: the folder is not a finished run.
    """
    report = build_report(run)
    write_html(report, run / "report.html")
    write_json(report, run / "report.json")
    write_junit(report, run / "junit.xml")
    return report


def build_report(run: Path) -> Report:
    """Return the report of a run folder; missing parts are omitted."""
    if not (run / PACKAGE).is_file():
        raise UsageError(f"{run} is not a finished run: {PACKAGE} is missing; run: ks100 demo --run {run}")
    results = _results(run)
    graph = Graph.parse((run / GRAPHS[CANDIDATE]).read_bytes())
    profile = BoardProfile.load(str(run / PROFILE))
    return Report(
        title="Deployment report",
        subtitle=f"{CANDIDATE} fusion detector on {profile.name}: from captures to a signed model, measured on a board",
        created_s=time.time(),
        results=results,
        steps=_steps(run),
        accuracy=tuple(
            accuracy_record(Evaluation.load(run / evaluation_file(model, pool)), model=model, pool=pool)
            for pool in POOLS
            for model in GRAPHS
        ),
        differences=_differences(run),
        gate=gate_summary(GateResult.load(run / "gate.json")),
        precision=precision_rows(cost(graph, profile), _group),
        choice=_choice(run),
        pictures=_pictures(run),
        custody=_custody(run),
        waiver=PackageFile.open(run / PACKAGE).manifest_unverified.evidence.waiver,
        custody_verified=_custody_verifies(run),
        board=Requirements.of(profile),
        notes=_notes(run),
        facts=_facts(run),
    )


def _results(run: Path) -> HilResults | None:
    """Return the suite's results, with the rejections before the suite."""
    if not (run / HIL / RESULTS_FILE).is_file():
        return None
    results = HilResults.load(run / HIL)
    tried = {item.case for item in results.rejections}
    earlier = tuple(item for item in read_rejections(run / "pushes") if item.case not in tried)
    return replace(results, rejections=(*earlier, *results.rejections))


def _differences(run: Path) -> tuple[DifferenceRow, ...]:
    """Return how the quantized graphs differ from the float one, on the same frames."""
    found: list[DifferenceRow] = []
    for pool in POOLS:
        parent, *others = GRAPHS
        loaded = Evaluation.load(run / evaluation_file(parent, pool))
        for model in others:
            found += difference_rows(loaded, Evaluation.load(run / evaluation_file(model, pool)), model, pool)
    return tuple(found)


def _group(name: str) -> str:
    """Return ``attention`` for the operations of the cross-modal attention layers, ``fusion_4`` and so on."""
    layers = names_of(name)[:-1]  # the last one is the whole name, in which the model's own would match
    return "attention" if any(_ATTENTION.match(layer) for layer in layers) else ""


def _steps(run: Path) -> tuple[StepRow, ...]:
    try:
        outcomes = structured(tuple[Outcome, ...], json.loads((run / _OUTCOMES).read_text()))
    except (OSError, ValueError):
        return ()
    return tuple(
        StepRow(found.name, found.title, found.seconds, StepState.REUSED if found.reused else StepState.DONE)
        for found in outcomes
    )


def _choice(run: Path) -> tuple[Figure, ...]:
    if not ((run / SENSITIVITY).is_file() and (run / FRONT).is_file()):
        return ()
    found = SensitivityMap.load(run / SENSITIVITY)
    return (*map_figures(found, _TOP_GROUPS), read_front(run / FRONT))


def _pictures(run: Path) -> tuple[DetectionPicture, ...]:
    """Return images of the hard cases in which FP32 on the host and the candidate on the board differ most."""
    if not ((run / HIL / DETECTIONS_FILE).is_file() and (run / detections_file("FP32", _HARD)).is_file()):
        return ()
    hard = CaptureSet.load(run / "captures" / _HARD, "pictures of the report")
    position = {capture.id: index for index, capture in enumerate(hard.captures)}
    ids, on_board = load_detections(run / HIL / DETECTIONS_FILE)
    host_ids, on_host = load_detections(run / detections_file("FP32", _HARD))
    board = dict(zip(ids, on_board["board"], strict=True))
    host = dict(zip(host_ids, on_host["FP32"], strict=True))
    pairs = {position[name]: (host[name], board[name]) for name in ids if name in position and name in host}
    chosen = most_different(hard, pairs, _PICTURES)
    return tuple(
        detection_picture(hard, i, {"FP32, host": host[name], f"{CANDIDATE}, board": board[name]})
        for i in chosen
        for name in [hard.captures[i].id]
    )


def _custody(run: Path) -> tuple[CustodyRow, ...]:
    chain = chain_of(PackageFile.open(run / PACKAGE).digest, CustodyLog.open(run / CUSTODY))
    return tuple(
        CustodyRow(e.index, s.act.value, s.actor, s.subjects[0].name, s.subjects[0].sha256, s.time_s)
        for e in chain.entries
        for s in [e.statement]
    )


def _custody_verifies(run: Path) -> bool:
    try:
        verify_custody(run)
    except CustodyError:
        return False
    return True


def _notes(run: Path) -> tuple[str, ...]:
    notes = [f"Pushed {push.text}." for push in read_pushes(run / "pushes")]
    gate = GateResult.load(run / "gate.json")
    if not gate.policy.conditions_required:
        notes.append("The gate decides on the hard cases; the condition categories are reported for information.")
    return tuple(notes)


def _facts(run: Path) -> tuple[tuple[str, str], ...]:
    pools = ", ".join(
        f"{path.name} {stored_length(path)}" for path in sorted((run / "captures").iterdir()) if path.is_dir()
    )
    return (("captures", pools), ("run folder", run.name))
