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
    from hil.measurements.baseline import Comparison, RunComparison
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
    _check(url, package, store, captures, profile)
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


def _check(url: str, package: Path, trust: Path, captures: Path | None, profile: str | None) -> None:
    """Find out what is wrong before the suite does: in one line, and with the exit code of what it is."""
    from firmware_bridge.device.profile import BoardProfile
    from firmware_bridge.host.address import BoardAddress
    from firmware_bridge.package.container import PackageFile
    from hil.boards import open_board
    from ks100.steps.packaging import read_trust
    from models.captures import stored_length

    read_trust(trust)
    PackageFile.open(package)
    if profile is not None:
        BoardProfile.load(profile)
    if captures is not None:
        stored_length(captures)
    if not BoardAddress.parse(url).is_ephemeral:
        with open_board(url) as board:
            board.info()


@command.command()
@click.argument("before", type=click.Path(path_type=Path, exists=True))
@click.argument("after", type=click.Path(path_type=Path, exists=True))
@click.option("--allow", multiple=True, metavar="WHAT",
              help="Accept that the runs differ in this: pool, loop, rails, runtime, profile, limits, board, emulator "
              "or link; repeatable.")  # fmt: skip
@json_option
def compare(before: Path, after: Path, allow: tuple[str, ...], as_json: bool) -> int:
    """Compare two runs (results.json, or their folders): is AFTER worse than BEFORE, or can one not tell?

    AFTER passes only with all the evidence that BEFORE has. Runs that measured different things are refused.
    """
    from hil.measurements.baseline import compare as compare_runs
    from hil.measurements.comparable import DIFFERENCES
    from hil.measurements.measurement import Subject
    from hil.measurements.results import HilResults

    unknown = [name for name in allow if name not in DIFFERENCES]
    if unknown:
        raise click.UsageError(f"--allow {unknown[0]}: it is one of {', '.join(DIFFERENCES)}")
    found = compare_runs(HilResults.load(before), HilResults.load(after), allow=allow)
    if as_json:
        print_json(_as_json(found))
        return verdict_code(found.verdict)
    for difference in found.differences:
        click.echo(str(difference))
    for subject, title in ((Subject.MODEL, ""), (Subject.LINK, "the link, which is no verdict on a model")):
        rows = [_compared(row) for row in found.rows if row.subject is subject]
        if rows:
            print_table(
                ("figure", ">before", ">after", "unit", ">95 % of the difference", ">margin", "verdict"),
                rows,
                title=title,
            )
    for line in found.lost:
        click.echo(line)
    if found.own.value != "pass":
        click.echo(f"the later run itself: {found.own.value}")
    click.echo(f"against the earlier run: {found.verdict.value}")
    return verdict_code(found.verdict)


def _compared(row: Comparison) -> tuple[str, ...]:
    change = f"{row.change.value}: {row.note}" if row.note else row.change.value
    numbers = ("", "", f"{row.margin:.3g}")
    if row.change.value != "MISSING":
        numbers = (f"{row.after:.4g}", f"{row.low:+.3g} … {row.high:+.3g}", f"{row.margin:.3g}")
    return (row.name, f"{row.before:.4g}", numbers[0], row.unit, *numbers[1:], change)


def _as_json(found: RunComparison) -> dict[str, object]:
    from models.records import plain

    figures = [
        {"name": r.name, "before": r.before, "after": r.after, "unit": r.unit, "low": r.low, "high": r.high,
         "margin": r.margin, "verdict": r.change.value, "subject": r.subject.value, "note": r.note}
        for r in found.rows
    ]  # fmt: skip
    differences = [{"what": d.what, "before": d.before, "after": d.after} for d in found.differences]
    whole = {"verdict": found.verdict.value, "run": found.own.value, "differences": differences, "lost": found.lost}
    shown: dict[str, object] = plain({**whole, "figures": figures})
    return shown


def print_results(results: HilResults) -> None:
    """Print every figure of a run with its limit, source and basis."""
    from hil.plugin.outcomes import open_lines

    print_table(FIGURE_COLUMNS, map(figure_row, results.measurements), title=f"{results.url} over {results.link}")
    for check in results.checks:
        if check.outcome.value != "passed":
            click.echo(f"{check.outcome.value}: {check.name}: {check.message}")
    for line in open_lines(results):
        click.echo(line)
    held = sum(item.holds for item in results.rejections)
    click.echo(f"rejections: {held} of {len(results.rejections)} refused by name; suite: {results.verdict.value}")
