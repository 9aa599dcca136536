"""A conformance run as an HTML page; `hil.report.junit` writes it as JUnit XML."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from hil.conformance.results import ConformanceResults, Status
from hil.report.html import environment_of, style

__all__ = ["render_html", "write_html"]


def render_html(results: ConformanceResults) -> str:
    """Return one page that needs nothing else.

    Raises:
        SuiteError: Jinja2 is not installed.
    """
    groups = [(name, list(rules)) for name, rules in groupby(results.rules, key=lambda rule: rule.group)]
    counts = [(status.value, results.counts[status]) for status in Status if results.counts[status]]
    template = environment_of("hil.conformance").get_template("page.html.j2")
    return template.render(results=results, groups=groups, counts=counts, style=style())


def write_html(results: ConformanceResults, path: Path) -> None:
    """Write the page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_html(results), encoding="utf-8")
