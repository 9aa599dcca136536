"""``ks100 hil``: measure a board; compare two runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.progress import progress_bar
from ks100.cli.tables import MARKS, print_table
from ks100.errors import verdict_code

if TYPE_CHECKING:
    from hil.measurements.measurement import Measurement
    from hil.measurements.results import HilResults

__all__ = ["command", "print_results"]


@click.group(name="hil")
def command() -> None:
    """Measure a board with the hardware-in-the-loop suite; compare two runs."""


@command.command()
@click.argument("package", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--board", default="emu:", show_default=True, help="The board's URL.")
@click.option("--trust", type=click.Path(path_type=Path, dir_okay=False),
              help="The trust store; trust.ksr beside the package otherwise.")  # fmt: skip
@click.option("--captures", type=click.Path(path_type=Path, file_okay=False), help="Hard-case captures for accuracy.")
@click.option("--results", type=click.Path(path_type=Path, file_okay=False), default=Path("hil-results"),
              show_default=True, help="Folder for results.json, junit.xml and pytest.log.")  # fmt: skip
@click.option("--frames", type=click.IntRange(1), help="Most captures to run on the board.")
@click.option("--profile", metavar="NAME|FILE.toml", help="The board's profile; that of the kind it names otherwise.")
def run(
    package: Path, board: str, trust: Path | None, captures: Path | None, results: Path, frames: int | None,
    profile: str | None,
) -> int:  # fmt: skip
    """Run the suite on a board: identity, install, latency, power, accuracy, parity, rejections.

    The same as: pytest --pyargs hil.suite --ks-board BOARD --ks-package PACKAGE
    """
    from hil.suite_runner import run_suite
    from ks100.cli.verify import trust_beside

    with progress_bar("hil") as progress:
        found = run_suite(
            board, package, trust_beside(package, trust), captures, results, frames=frames, profile=profile,
            progress=lambda event: progress(event.share, event.text),
        )  # fmt: skip
    print_results(found)
    click.echo(f"{results}: results.json, junit.xml, pytest.log")
    return verdict_code(found.verdict)


@command.command()
@click.argument("before", type=click.Path(path_type=Path, exists=True))
@click.argument("after", type=click.Path(path_type=Path, exists=True))
def compare(before: Path, after: Path) -> int:
    """Compare two runs (results.json, or their folders): is AFTER worse than BEFORE, or can one not tell?"""
    from hil.measurements.baseline import compare as compare_runs
    from hil.measurements.baseline import verdict_of
    from hil.measurements.results import HilResults

    rows = compare_runs(HilResults.load(before), HilResults.load(after))
    print_table(
        ("figure", ">before", ">after", "unit", ">95 % of the difference", ">margin", "verdict"),
        [
            (r.name, f"{r.before:.4g}", f"{r.after:.4g}", r.unit, f"{r.low:+.3g} … {r.high:+.3g}", f"{r.margin:.3g}",
             r.change.value)
            for r in rows
        ],
    )  # fmt: skip
    verdict = verdict_of(rows)
    click.echo(f"against the earlier run: {verdict.value}")
    return verdict_code(verdict)


def print_results(results: HilResults) -> None:
    """Print every figure of a run with its limit, source and basis."""
    print_table(
        ("figure", ">value", "unit", "limit", "verdict", "source", ">published"),
        [_figure(item) for item in results.measurements],
        title=f"{results.url} over {results.link}",
    )
    for check in results.checks:
        if check.outcome.value != "passed":
            click.echo(f"{check.outcome.value}: {check.name}: {check.message}")
    held = sum(item.holds for item in results.rejections)
    click.echo(f"rejections: {held} of {len(results.rejections)} refused by name; suite: {results.verdict.value}")


def _figure(item: Measurement) -> tuple[str, ...]:
    return (
        item.name,
        f"{item.value:.4g}",
        item.unit,
        str(item.limit or ""),
        MARKS[item.verdict.value],
        f"{item.source.value} {item.basis.value}",
        "" if item.reference is None else f"{item.reference:g}",
    )
