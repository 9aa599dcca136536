"""A conformance run as an HTML page; `hil.report.junit` writes it as JUnit XML."""

from __future__ import annotations

from importlib import resources
from itertools import groupby
from pathlib import Path

from hil.conformance.results import ConformanceResults, Status
from hil.errors import SuiteError

__all__ = ["render_html", "write_html"]


def render_html(results: ConformanceResults) -> str:
    """Return one page that needs nothing else.

    Raises:
        SuiteError: Jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError as error:
        raise SuiteError('the HTML report needs Jinja2; install it with: pip install "ks100[hil]"') from error
    environment = Environment(
        loader=PackageLoader("hil.conformance", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=StrictUndefined,
    )  # fmt: skip
    groups = [(name, list(rules)) for name, rules in groupby(results.rules, key=lambda rule: rule.group)]
    counts = [(status.value, results.counts[status]) for status in Status if results.counts[status]]
    style = (resources.files("hil.report") / "page.css").read_text("utf-8")
    template = environment.get_template("page.html.j2")
    return template.render(results=results, groups=groups, counts=counts, style=style)


def write_html(results: ConformanceResults, path: Path) -> None:
    """Write the page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_html(results), encoding="utf-8")
