"""``ks100 hil``: measure a board; compare two runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.board_choice import find_board, inventory_option
from ks100.cli.output import json_option, print_json
from ks100.cli.progress import progress_bar
from ks100.cli.tables import FIGURE_COLUMNS, figure_row, print_table
from ks100.errors import verdict_code

if TYPE_CHECKING:
    from hil.measurements.results import HilResults

__all__ = ["command", "print_results"]


@click.group(name="hil")
def command() -> None:
    """Measure a board with the hardware-in-the-loop suite; compare two runs."""


@command.command()
@click.argument("package", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--board", default="emu:", show_default=True, help="The board's URL, or its name in the inventory.")
@inventory_option
@click.option("--trust", type=click.Path(path_type=Path, dir_okay=False),
              help="The trust store; trust.ksr beside the package otherwise.")  # fmt: skip
@click.option("--captures", type=click.Path(path_type=Path, file_okay=False), help="Hard-case captures for accuracy.")
@click.option("--results", type=click.Path(path_type=Path, file_okay=False), default=Path("hil-results"),
              show_default=True, help="Folder for results.json, junit.xml and pytest.log.")  # fmt: skip
@click.option("--frames", type=click.IntRange(1), help="Most captures to run on the board.")
@click.option("--profile", metavar="NAME|FILE.toml", help="The board's profile; that of the kind it names otherwise.")
@json_option
def run(
    package: Path, board: str, inventory: Path | None, trust: Path | None, captures: Path | None, results: Path,
    frames: int | None, profile: str | None, as_json: bool,
) -> int:  # fmt: skip
    """Run the suite on a board: identity, install, latency, power, accuracy, parity, rejections.

    The same as: pytest --pyargs hil.suite --ks-board BOARD --ks-package PACKAGE
    """
    from hil.measurements.results import RESULTS_FILE
    from hil.suite_runner import run_suite
    from ks100.cli.verify import trust_beside

    url, store = find_board(board, inventory), trust_beside(package, trust)
    _check(url, package, store, captures)
    with progress_bar("hil") as progress:
        found = run_suite(
            url, package, store, captures, results, frames=frames, profile=profile,
            progress=lambda event: progress(event.share, event.text),
        )  # fmt: skip
    if as_json:
        click.echo((results / RESULTS_FILE).read_text("utf-8"), nl=False)
        return verdict_code(found.verdict)
    print_results(found)
    click.echo(f"{results}: results.json, junit.xml, pytest.log")
    return verdict_code(found.verdict)


def _check(url: str, package: Path, trust: Path, captures: Path | None) -> None:
    """Find out what is wrong before the suite does: in one line, and with the exit code of what it is."""
    from firmware_bridge.host.address import BoardAddress
    from firmware_bridge.package.container import PackageFile
    from hil.boards import open_board
    from ks100.steps.packaging import read_trust
    from models.captures import stored_length

    read_trust(trust)
    PackageFile.open(package)
    if captures is not None:
        stored_length(captures)
    if not BoardAddress.parse(url).is_ephemeral:
        with open_board(url) as board:
            board.info()


@command.command()
@click.argument("before", type=click.Path(path_type=Path, exists=True))
@click.argument("after", type=click.Path(path_type=Path, exists=True))
@json_option
def compare(before: Path, after: Path, as_json: bool) -> int:
    """Compare two runs (results.json, or their folders): is AFTER worse than BEFORE, or can one not tell?"""
    from hil.measurements.baseline import compare as compare_runs
    from hil.measurements.baseline import verdict_of
    from hil.measurements.results import HilResults

    rows = compare_runs(HilResults.load(before), HilResults.load(after))
    verdict = verdict_of(rows)
    if as_json:
        print_json({"verdict": verdict.value, "figures": [
            {"name": r.name, "before": r.before, "after": r.after, "unit": r.unit, "low": r.low, "high": r.high,
             "margin": r.margin, "verdict": r.change.value}
            for r in rows
        ]})  # fmt: skip
        return verdict_code(verdict)
    print_table(
        ("figure", ">before", ">after", "unit", ">95 % of the difference", ">margin", "verdict"),
        [
            (r.name, f"{r.before:.4g}", f"{r.after:.4g}", r.unit, f"{r.low:+.3g} … {r.high:+.3g}", f"{r.margin:.3g}",
             r.change.value)
            for r in rows
        ],
    )  # fmt: skip
    click.echo(f"against the earlier run: {verdict.value}")
    return verdict_code(verdict)


def print_results(results: HilResults) -> None:
    """Print every figure of a run with its limit, source and basis."""
    print_table(FIGURE_COLUMNS, map(figure_row, results.measurements), title=f"{results.url} over {results.link}")
    for check in results.checks:
        if check.outcome.value != "passed":
            click.echo(f"{check.outcome.value}: {check.name}: {check.message}")
    held = sum(item.holds for item in results.rejections)
    click.echo(f"rejections: {held} of {len(results.rejections)} refused by name; suite: {results.verdict.value}")
