"""``ks100 report``: write the report of a run folder."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["command"]


@click.command(name="report")
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
def command(run: Path) -> None:
    """Write report.html (opens offline), report.json and junit.xml of the run folder RUN."""
    from ks100.steps.reporting import write_report

    report = write_report(run)
    click.echo(f"{run / 'report.html'}: {report.verdict.value}")
