"""The report as one HTML page that opens offline: the template filled with the report and its charts."""

from __future__ import annotations

from pathlib import Path

from hil.errors import SuiteError
from hil.report.model import Report

__all__ = ["render_html", "write_html"]


def render_html(report: Report) -> str:
    """Return the report as one HTML page that needs nothing else.

    Raises:
        SuiteError: Jinja2 is not installed.
    """
    try:
        from jinja2 import Environment, PackageLoader
    except ImportError as error:
        raise SuiteError('the HTML report needs Jinja2; install it with: pip install "ks100[hil]"') from error
    environment = Environment(
        loader=PackageLoader("hil.report", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("page.html.j2").render(report=report)


def write_html(report: Report, path: Path) -> None:
    """Write the report as one HTML file.

    Raises:
        SuiteError: Jinja2 is not installed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_html(report), encoding="utf-8")
