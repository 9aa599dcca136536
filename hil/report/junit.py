"""JUnit XML of a report: a test suite for each run on a board, for the pipeline's steps, and for its gate.

A limit that fails is a ``failure``, a bench that breaks is an ``error``, as CI systems understand the two.
"""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree as ET

from hil.measurements.measurement import Measurement, Verdict
from hil.measurements.results import HilResults, Outcome
from hil.report.junit_xml import add_case, add_properties, counted, mark, new_suite, write_suites
from hil.report.model import Report, StepState

__all__ = ["JUNIT_FILE", "write_junit", "write_results_junit"]

JUNIT_FILE = "junit.xml"

_TAGS = {
    Outcome.FAILED: "failure",
    Outcome.INCONCLUSIVE: "failure",
    Outcome.REJECTED: "failure",
    Outcome.ERROR: "error",
    Outcome.SKIPPED: "skipped",
}


def write_junit(report: Report, path: Path) -> None:
    """Write the report as JUnit XML."""
    suites = [_run_suite(run) for run in report.runs]
    if report.steps:
        suites.append(_steps_suite(report))
    if report.gate is not None:
        suites.append(_gate_suite(report))
    write_suites(suites, report.title, path)


def write_results_junit(results: HilResults, path: Path) -> None:
    """Write one run on a board as JUnit XML."""
    write_suites([_run_suite(results)], "KS-100 HIL suite", path)


def _run_suite(run: HilResults) -> ET.Element:
    board = run.board
    # Without addresses and serial numbers: CI systems follow a test over time by its name.
    name = run.options.get("board") or (board.board if board is not None else "")
    suite = new_suite(f"hil {name}".strip(), run.started_s)
    facts = {"board": run.url, "link": run.link, "source": run.source.value if run.source else "none"}
    if board is not None:
        facts |= {"serial": board.serial, "runtime": f"{board.runtime.name} {board.runtime.version}"}
    facts |= {"waiver": run.package.waiver} if run.package is not None and run.package.waiver else {}
    facts |= {"verdict": run.verdict.value} | ({"stopped": run.stopped} if run.stopped else {})
    facts |= {"missing": ", ".join(run.missing)} if run.missing else {}
    add_properties(suite, {**facts, **{f"measurement.{m.name}": _figure(m) for m in run.measurements}})
    for check in run.checks:
        file, _, function = check.name.partition("::")
        case = add_case(suite, f"hil.suite.{file}", function or check.name, check.seconds)
        if check.outcome in _TAGS:
            mark(case, _TAGS[check.outcome], check.outcome.value, check.message, check.detail)
    for name in run.not_run:
        file, _, function = name.partition("::")
        why = f"the run is INCOMPLETE: {run.stopped or 'it ended before this check'}"
        mark(add_case(suite, f"hil.suite.{file}", function, 0.0), "error", "not run", why, "")
    return counted(suite)


def _steps_suite(report: Report) -> ET.Element:
    suite = new_suite("pipeline", report.created_s)
    for step in report.steps:
        case = add_case(suite, "ks100.pipeline", step.name, step.seconds)
        if step.state is StepState.FAILED:
            mark(case, "error", "step", step.note or step.title, "")
    for item in report.measurements:
        case = add_case(suite, "ks100.figures", item.name, 0.0)
        if item.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
            mark(case, "failure", item.verdict.value, f"{item.name} {_figure(item)}, limit {item.limit}", "")
    return counted(suite)


def _gate_suite(report: Report) -> ET.Element:
    assert report.gate is not None
    suite = new_suite("gate", report.created_s)
    for row in report.gate.rows:
        case = add_case(suite, "ks100.gate", row.name, 0.0)
        if row.required and row.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
            text = (
                f"drop {row.drop_points:z.2f} points, upper bound {row.upper_points:z.2f}, limit {row.limit_points:g}"
            )
            mark(case, "failure", row.verdict.value, text, "")
    case = add_case(suite, "ks100.gate", "verdict", 0.0)
    if report.gate.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
        mark(case, "failure", report.gate.verdict.value, report.gate.reason, "")
    return counted(suite)


def _figure(item: Measurement) -> str:
    if item.invalid:
        return f"INVALID: {item.invalid}"
    return f"{item.value:.6g} {item.unit} ({item.source.value}, {item.basis.value}, n {item.n})"
