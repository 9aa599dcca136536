"""A conformance run as an HTML page and as JUnit XML."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from hil.conformance.results import ConformanceResults, Status
from hil.report.html import environment_of, style
from hil.report.junit_xml import add_case, add_properties, counted, mark, new_suite, write_suites

__all__ = ["render_html", "write_conformance_junit", "write_html"]


def render_html(results: ConformanceResults) -> str:
    """Return one page that needs nothing else."""
    groups = [(name, list(rules)) for name, rules in groupby(results.rules, key=lambda rule: rule.group)]
    counts = [(status.value, results.counts[status]) for status in Status if results.counts[status]]
    template = environment_of("hil.conformance").get_template("page.html.j2")
    return template.render(results=results, groups=groups, counts=counts, style=style())


def write_html(results: ConformanceResults, path: Path) -> None:
    """Write the page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_html(results), encoding="utf-8")


def write_conformance_junit(results: ConformanceResults, path: Path) -> None:
    """Write a conformance run as JUnit XML: what counts against the board is a ``failure``."""
    suite = new_suite(f"conformance of {results.serial} over {results.link}", results.started_s)
    add_properties(suite, {"board": results.board, "serial": results.serial, "agent": results.agent})
    groups = {rule.name: rule.group for rule in results.rules}
    for item in results.cases:
        case = add_case(suite, f"conformance.{groups[item.rule]}.{item.rule}", item.label, item.seconds)
        said = f"expected {' or '.join(item.expected)}, observed {item.observed}: {item.detail}"
        if item.status is Status.NOT_APPLICABLE:
            mark(case, "skipped", "", "does not apply to this board or link", "")
        elif item.counts_against:
            kind = item.status.value if item.status.is_failure else "passed, listed as an expected failure"
            mark(case, "failure", kind, said, "\n".join(item.broken))
        elif item.expected_failure:
            mark(case, "skipped", "", f"expected failure: {said}", "")
    write_suites([counted(suite)], "KS-100 rejection conformance", path)
