"""A run as Markdown for the description or a comment of a merge request: the verdict first, then what changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from hil.comparison.changes import Change, Comparison
from hil.measurements.measurement import Measurement
from hil.measurements.results import HilResults
from hil.report.evidence import evidence, missing_lines
from hil.report.model import Report
from hil.report.view import headline, number

__all__ = ["SUMMARY_FILE", "render_markdown", "write_markdown"]

SUMMARY_FILE = "summary.md"
_SHOWN = 12
# CommonMark reads these as markup; what a board or a user wrote must stay text.
_MARKUP = str.maketrans({sign: "\\" + sign for sign in "\\`*_[]<>|#"})


def render_markdown(report: Report) -> str:
    """Return the report as Markdown."""
    return "\n".join(_lines(report)) + "\n"


def write_markdown(report: Report, path: Path) -> None:
    """Write the report as Markdown."""
    path.write_text(render_markdown(report), encoding="utf-8")


def _lines(report: Report) -> Iterable[str]:
    run = report.results
    yield f"### {_text(headline(report))} ({report.verdict.value})"
    yield ""
    unknown = [] if run is None else missing_lines(run)
    problems = [*report.failures, *unknown]
    yield from (f"- {_text(line)}" for line in problems[:_SHOWN])
    if len(problems) > _SHOWN:
        yield f"- and {len(problems) - _SHOWN} more in the report"
    if report.waiver:
        yield f"- **WAIVED**: released without a passed gate: {_text(report.waiver)}"
    if report.comparison is not None:
        yield from _changes(report.comparison.rows, report.comparison.lost + report.comparison.over)
    if run is not None:
        yield from _figures(run)
        yield ""
        yield "<details><summary>Evidence</summary>"
        yield ""
        yield from _table(("what", "value"), (evidence(run)))
        yield ""
        yield "</details>"


def _changes(rows: Sequence[Comparison], lost: Sequence[str]) -> Iterable[str]:
    count = Counter(row.change for row in rows)
    yield ""
    yield "**Since the baseline:** " + ", ".join(f"{n} {change.value}" for change, n in count.items())
    yield from (f"- {_text(line)}" for line in lost)
    changed = [row for row in rows if row.change is not Change.SAME]
    if changed:
        yield ""
        cells = [
            (row.name, f"{number(row.before)} {_unit(row.unit)}", number(row.after), _interval(row), row.change.value)
            for row in changed
        ]
        yield from _table(("figure", "before", "now", "interval of the difference", "verdict"), cells)


def _figures(run: HilResults) -> Iterable[str]:
    judged = [item for item in run.measurements if item.limit is not None]
    if judged:
        yield ""
        cells = [(item.name, _value(item), str(item.limit), item.verdict.value, _source(item)) for item in judged]
        yield from _table(("figure", "value", "limit", "verdict", "source"), cells)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    yield from (f"| {' | '.join(map(_text, row))} |" for row in rows)


def _value(item: Measurement) -> str:
    return "INVALID" if item.invalid else f"{number(item.value)} {_unit(item.unit)}".strip()


def _source(item: Measurement) -> str:
    return f"{item.source.value}, {item.basis.value}"


def _interval(row: Comparison) -> str:
    return f"{row.low:+.3g} to {row.high:+.3g}" if row.low == row.low else "none"


def _unit(unit: str) -> str:
    return "" if unit == "1" else unit


def _text(words: str) -> str:
    return " ".join(words.split()).translate(_MARKUP)
