"""The report of one run on a board, from its results folder alone: what `ks100 hil run` and the plugin leave there."""

from __future__ import annotations

from pathlib import Path

from firmware_bridge.device.cost import cost
from firmware_bridge.device.graph import Graph
from firmware_bridge.device.profile import BoardProfile
from firmware_bridge.errors import BridgeError
from firmware_bridge.package.container import PackageFile
from hil.checks.install import package_card
from hil.comparison.runs import RunComparison
from hil.measurements.requirements import Requirements
from hil.measurements.results import HilResults
from hil.report.facts import precision_rows
from hil.report.html import write_html
from hil.report.markdown import SUMMARY_FILE, write_markdown
from hil.report.model import DetectionPicture, PrecisionRow, Report
from hil.report.pictures import detection_picture, most_different
from models.captures import CaptureSet
from models.card.feed import with_classes
from models.errors import ModelsError
from models.evaluation.detections import DETECTIONS_FILE, load_detections

__all__ = ["REPORT_FILE", "report_of_run", "write_run_report"]

REPORT_FILE = "report.html"
_PICTURES = 4


def write_run_report(
    results: HilResults,
    folder: Path,
    *,
    package: Path | None = None,
    captures: Path | None = None,
    comparison: RunComparison | None = None,
) -> None:
    """Write ``report.html`` and ``summary.md`` into the results folder; arguments as for `report_of_run`."""
    report = report_of_run(results, folder, package=package, captures=captures, comparison=comparison)
    write_html(report, folder / REPORT_FILE)
    write_markdown(report, folder / SUMMARY_FILE)


def report_of_run(
    results: HilResults,
    folder: Path,
    *,
    package: Path | None = None,
    captures: Path | None = None,
    comparison: RunComparison | None = None,
) -> Report:
    """Return the report of a run.

    Args:
        results: the run.
        folder: where its files are.
        package: what it measured, for the precision plan and the profile by operation; left out if None or unreadable.
        captures: the folder of its captures, for pictures; likewise.
        comparison: what changed since its baseline.
    """
    facts = results.package
    opened = _opened(package, results)
    return Report(
        title="HIL report",
        subtitle=f"{results.url} over {results.link}" + (f", {facts.model} {facts.version}" if facts else ""),
        created_s=results.started_s,
        results=results,
        comparison=comparison,
        precision=() if opened is None else _precision(results, opened),
        pictures=() if opened is None or captures is None else _pictures(folder, captures, opened),
        waiver="" if opened is None else opened.manifest_unverified.evidence.waiver,
    )


def _opened(path: Path | None, results: HilResults) -> PackageFile | None:
    """Return the package, if it is there and still the one that was measured."""
    if path is None or results.package is None:
        return None
    try:
        package = PackageFile.open(path)
    except BridgeError:
        return None
    same = package.manifest_unverified.payload_sha256.hex() == results.package.payload_sha256
    return package if same else None


def _precision(results: HilResults, package: PackageFile) -> tuple[PrecisionRow, ...]:
    """Return the operations, with their modelled cost on the kind of board that the run was judged by."""
    needs = results.requirements
    try:
        profile = None if needs is None else BoardProfile.load(needs.board)
        if profile is None or needs is None or Requirements.of(profile).profile_sha256 != needs.profile_sha256:
            return ()
        return precision_rows(cost(Graph.parse(package.payload()), profile))
    except BridgeError:
        return ()


def _pictures(folder: Path, captures: Path, package: PackageFile) -> tuple[DetectionPicture, ...]:
    """Return the captures on which board and host differ most."""
    if not (folder / DETECTIONS_FILE).is_file():
        return ()
    try:
        pool = with_classes(CaptureSet.load(captures, "pictures of the report"), package_card(package))
        ids, found = load_detections(folder / DETECTIONS_FILE)
    except (BridgeError, ModelsError):
        return ()
    position = {capture.id: index for index, capture in enumerate(pool.captures)}
    pairs = {position[name]: (found["host"][i], found["board"][i]) for i, name in enumerate(ids) if name in position}
    return tuple(
        detection_picture(pool, index, {"host": pairs[index][0], "board": pairs[index][1]})
        for index in most_different(pool, pairs, _PICTURES)
    )
