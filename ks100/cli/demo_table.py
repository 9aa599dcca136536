"""The table at the end of the demo: measured figures with limits, sources and published values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ks100.cli.tables import FIGURE_COLUMNS, MARKS, figure_row, percent, print_table

if TYPE_CHECKING:
    from hil.report.model import Report

__all__ = ["print_demo_table"]


def print_demo_table(report: Report) -> None:
    """Print the table and the verdict."""
    rows = [*_accuracy(report), *_gate(report), *_figures(report), *_rejections(report)]
    print_table(FIGURE_COLUMNS, rows, title=report.title)
    for failure in report.failures:
        click.secho(f"  {failure}", fg="red")
    click.echo(f"verdict: {report.verdict.value}")


def _accuracy(report: Report) -> list[tuple[str, ...]]:
    return [
        (f"AP50, {record.pool}, {record.model}", f"{percent(record.ap50)} points", "", "", "this host, measured", "")
        for record in report.accuracy
    ]


def _gate(report: Report) -> list[tuple[str, ...]]:
    if report.gate is None:
        return []
    return [
        (
            f"gate, {row.name}", f"{row.drop_points:+z.1f} (≤ {row.upper_points:+z.1f}) points",
            f"< {row.limit_points:g}",
            MARKS[row.verdict.value], "this host, measured", "",
        )
        for row in report.gate.rows
        if row.required
    ]  # fmt: skip


def _figures(report: Report) -> list[tuple[str, ...]]:
    figures = report.measurements if report.results is None else (*report.measurements, *report.results.measurements)
    return [figure_row(item) for item in figures]


def _rejections(report: Report) -> list[tuple[str, ...]]:
    if report.results is None:
        return []
    source = "" if report.results.source is None else report.results.source.value
    return [
        (
            f"rejected: {item.title}", item.got, " or ".join(item.expected), MARKS["pass" if item.holds else "fail"],
            f"{source}, measured", "",
        )
        for item in report.results.rejections
    ]  # fmt: skip
