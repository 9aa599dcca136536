"""A run's results as JSON, JUnit XML and one HTML page."""

from __future__ import annotations

from hil.report.html import write_html
from hil.report.json import write_json
from hil.report.junit import write_junit
from hil.report.model import Report

__all__ = ["Report", "write_html", "write_json", "write_junit"]
