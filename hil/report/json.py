"""The report as JSON: the same facts for machines, pictures left out."""

from __future__ import annotations

import json
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Any

from hil.report.model import Report

__all__ = ["report_json", "write_json"]

_SCHEMA = 1


def report_json(report: Report) -> dict[str, Any]:
    """Return the report as plain values; pictures keep their boxes, not their pixels."""
    pictures = [_plain(asdict(picture)) for picture in report.pictures]
    for picture in pictures:
        picture.pop("eo_png")
        picture.pop("lwir_png")
    package = report.package_facts
    return {
        "schema": _SCHEMA,
        "title": report.title,
        "subtitle": report.subtitle,
        "created_s": report.created_s,
        "verdict": report.verdict.value,
        "failures": list(report.failures),
        "facts": dict(report.facts),
        "notes": list(report.notes),
        "requirements": None if report.requirements is None else asdict(report.requirements),
        "package": None if package is None else asdict(package),
        "steps": [_plain(asdict(step)) for step in report.steps],
        "measurements": [item.to_json() for item in report.measurements],
        "accuracy": [item.to_json() for item in report.all_accuracy],
        "gate": None if report.gate is None else _plain(asdict(report.gate)),
        "precision": [asdict(row) for row in report.precision],
        "custody": [asdict(row) for row in report.custody],
        "custody_verified": report.custody_verified,
        "pictures": pictures,
        "runs": [run.to_json() for run in report.runs],
    }


def write_json(report: Report, path: Path) -> None:
    """Write the report as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report_json(report), indent=1, allow_nan=False) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value
