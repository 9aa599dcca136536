"""The report as one HTML page that opens offline: the template filled with the report and its charts."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from hil.report import evidence, profile, view
from hil.report.model import Report
from hil.report.published import published_rows

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["environment_of", "render_html", "style", "write_html"]

_FILTERS = ("bytes_text", "count_text", "data_uri", "duration", "number", "when")
_FUNCTIONS = (
    "absolute_rows", "differences_of", "headline", "latency_of", "precision_chart", "tiles", "timeline_of",
)  # fmt: skip
_PROFILE = ("attention_work", "largest_ops", "ops_by_kind", "precision_shares")
_EVIDENCE = ("environment", "evidence", "missing_lines", "rail_rows")


def environment_of(package: str) -> Environment:
    """Return what fills the templates of ``package``."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(package, "."), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=StrictUndefined,
    )  # fmt: skip


def style() -> str:
    """Return the pages' style sheet."""
    return (resources.files("hil.report") / "page.css").read_text("utf-8")


def render_html(report: Report) -> str:
    """Return the report as one HTML page that needs nothing else."""
    environment = environment_of("hil.report")
    environment.filters |= {name: getattr(view, name) for name in _FILTERS}
    for module, names in ((view, _FUNCTIONS), (profile, _PROFILE), (evidence, _EVIDENCE)):
        environment.globals |= {name: getattr(module, name) for name in names}
    environment.globals["published_rows"] = published_rows
    template = environment.get_template("page.html.j2")
    requirements = report.requirements
    published = None if requirements is None else requirements.published
    return template.render(report=report, style=style(), published=published)


def write_html(report: Report, path: Path) -> None:
    """Write the report as one HTML file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render_html(report), encoding="utf-8")
