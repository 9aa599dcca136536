"""The report as JSON: the same facts for machines, pictures left out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from hil.report.model import Report
from models.records import plain, write_plain

__all__ = ["report_json", "write_json"]

_SCHEMA = 1


def report_json(report: Report) -> dict[str, Any]:
    """Return the report as plain values; pictures keep their boxes, not their pixels."""
    pictures = [plain(replace(picture, eo_image=None, lwir_image=None)) for picture in report.pictures]
    for picture in pictures:
        del picture["eo_image"], picture["lwir_image"]
    return {
        "schema": _SCHEMA,
        "title": report.title,
        "subtitle": report.subtitle,
        "created_s": report.created_s,
        "verdict": report.verdict.value,
        "failures": list(report.failures),
        "facts": dict(report.facts),
        "notes": list(report.notes),
        "requirements": plain(report.requirements),
        "package": plain(report.package_facts),
        "steps": plain(report.steps),
        "measurements": plain(report.measurements),
        "comparison": plain(report.comparison),
        "accuracy": plain(report.all_accuracy),
        "differences": plain(report.differences),
        "gate": plain(report.gate),
        "precision": plain(report.precision),
        "custody": plain(report.custody),
        "waiver": report.waiver,
        "custody_verified": report.custody_verified,
        "pictures": pictures,
        "runs": [run.to_json() for run in report.runs],
    }


def write_json(report: Report, path: Path) -> None:
    """Write the report as JSON."""
    write_plain(path, report_json(report))
