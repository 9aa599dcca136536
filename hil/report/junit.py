"""JUnit XML: a test suite for each run on a board, for the pipeline's steps, for its gate, for a conformance run.

A limit that fails is a ``failure``, a bench that breaks is an ``error``, as CI systems understand the two. The shape is
the common one (testsuites / testsuite / properties, testcase / failure, error, skipped).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

from hil.conformance.results import ConformanceResults, Status
from hil.measurement import Measurement, Verdict
from hil.report.model import Report, StepState
from hil.results import HilResults, Outcome

__all__ = ["write_conformance_junit", "write_junit", "write_results_junit"]

# XML 1.0 forbids these even when escaped.
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
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
    _write(suites, report.title, path)


def write_results_junit(results: HilResults, path: Path) -> None:
    """Write one run on a board as JUnit XML."""
    _write([_run_suite(results)], "KS-100 HIL suite", path)


def write_conformance_junit(results: ConformanceResults, path: Path) -> None:
    """Write a conformance run as JUnit XML: what counts against the board is a ``failure``."""
    suite = _suite(f"conformance of {results.serial} over {results.link}", results.started_s)
    _properties(suite, {"board": results.board, "serial": results.serial, "agent": results.agent})
    groups = {rule.name: rule.group for rule in results.rules}
    for item in results.cases:
        case = _case(suite, f"conformance.{groups[item.rule]}.{item.rule}", item.label, item.seconds)
        said = f"expected {' or '.join(item.expected)}, observed {item.observed}: {item.detail}"
        if item.status is Status.NOT_APPLICABLE:
            _mark(case, "skipped", "", "does not apply to this board or link", "")
        elif item.counts_against:
            kind = item.status.value if item.status.is_failure else "passed, listed as an expected failure"
            _mark(case, "failure", kind, said, "\n".join(item.broken))
        elif item.expected_failure:
            _mark(case, "skipped", "", f"expected failure: {said}", "")
    _write([_count(suite)], "KS-100 rejection conformance", path)


def _run_suite(run: HilResults) -> ET.Element:
    suite = _suite(f"hil {run.url}", run.started_s)
    board = run.board
    facts = {"board": run.url, "link": run.link, "source": run.source.value if run.source else "none"}
    if board is not None:
        facts |= {"serial": board.serial, "runtime": f"{board.runtime.name} {board.runtime.version}"}
    _properties(suite, {**facts, **{f"measurement.{m.name}": _figure(m) for m in run.measurements}})
    for check in run.checks:
        file, _, function = check.name.partition("::")
        case = _case(suite, f"hil.suite.{file}", function or check.name, check.seconds)
        if check.outcome in _TAGS:
            _mark(case, _TAGS[check.outcome], check.outcome.value, check.message, check.detail)
    return _count(suite)


def _steps_suite(report: Report) -> ET.Element:
    suite = _suite("pipeline", report.created_s)
    for step in report.steps:
        case = _case(suite, "ks100.pipeline", step.name, step.seconds)
        if step.state is StepState.FAILED:
            _mark(case, "error", "step", step.note or step.title, "")
    for item in report.measurements:
        case = _case(suite, "ks100.figures", item.name, 0.0)
        if item.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
            _mark(case, "failure", item.verdict.value, f"{item.name} {_figure(item)}, limit {item.limit}", "")
    return _count(suite)


def _gate_suite(report: Report) -> ET.Element:
    assert report.gate is not None
    suite = _suite("gate", report.created_s)
    for row in report.gate.rows:
        case = _case(suite, "ks100.gate", row.name, 0.0)
        if row.required and row.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
            text = f"drop {row.drop_points:.2f} points, upper bound {row.upper_points:.2f}, limit {row.limit_points:g}"
            _mark(case, "failure", row.verdict.value, text, "")
    case = _case(suite, "ks100.gate", "verdict", 0.0)
    if report.gate.verdict in (Verdict.FAIL, Verdict.INCONCLUSIVE):
        _mark(case, "failure", report.gate.verdict.value, report.gate.reason, "")
    return _count(suite)


def _suite(name: str, time_s: float) -> ET.Element:
    stamp = datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return ET.Element("testsuite", {"name": _clean(name), "timestamp": stamp})


def _case(suite: ET.Element, classname: str, name: str, seconds: float) -> ET.Element:
    attributes = {"classname": _clean(classname), "name": _clean(name), "time": f"{seconds:.3f}"}
    return ET.SubElement(suite, "testcase", attributes)


def _mark(case: ET.Element, tag: str, kind: str, message: str, detail: str) -> None:
    attributes = {"message": _clean(message)} | ({} if tag == "skipped" else {"type": kind})
    ET.SubElement(case, tag, attributes).text = _clean(detail or message)


def _properties(suite: ET.Element, facts: dict[str, str]) -> None:
    holder = ET.SubElement(suite, "properties")
    for name, value in facts.items():
        ET.SubElement(holder, "property", {"name": _clean(name), "value": _clean(value)})


def _count(suite: ET.Element) -> ET.Element:
    cases: Sequence[ET.Element] = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for tag, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("time", f"{sum(float(case.get('time', '0')) for case in cases):.3f}")
    return suite


def _write(suites: Iterable[ET.Element], name: str, path: Path) -> None:
    root = ET.Element("testsuites", {"name": _clean(name)})
    root.extend(suites)
    for attribute in ("tests", "failures", "errors", "skipped"):
        root.set(attribute, str(sum(int(suite.get(attribute, "0")) for suite in root)))
    root.set("time", f"{sum(float(suite.get('time', '0')) for suite in root):.3f}")
    ET.indent(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n")


def _figure(item: Measurement) -> str:
    return f"{item.value:.6g} {item.unit} ({item.source.value}, {item.basis.value}, n {item.n})"


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("�", text)
