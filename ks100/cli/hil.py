"""``ks100 hil run``: measure a board, by itself or against a baseline."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli import hil_compare, hil_history, hil_report
from ks100.cli.board_choice import find_board, inventory_option
from ks100.cli.hil_compare import policy_option
from ks100.cli.hil_history import history_option
from ks100.cli.output import json_option, print_json
from ks100.cli.progress import progress_bar
from ks100.cli.tables import FIGURE_COLUMNS, figure_row, print_table
from ks100.cli.wrapping import waived
from ks100.errors import verdict_code

if TYPE_CHECKING:
    from hil.against import BlockPlan
    from hil.comparison.policy import ComparisonPolicy
    from hil.comparison.runs import RunComparison
    from hil.measurements.results import HilResults

__all__ = ["command", "print_results"]


@click.group(name="hil")
def command() -> None:
    """Measure a board with the hardware-in-the-loop suite; compare two packages, or two runs."""


command.add_command(hil_compare.command)
command.add_command(hil_history.command)
command.add_command(hil_report.command)
command.add_command(hil_report.schema)


@command.command()
@click.argument("package", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--board", default="emu:", show_default=True, help="The board's URL, or its name in the inventory.")
@inventory_option
@click.option("--trust", type=click.Path(path_type=Path, dir_okay=False),
              help="The trust store; trust.ksr beside the package otherwise.")  # fmt: skip
@click.option("--captures", type=click.Path(path_type=Path, file_okay=False), help="Hard-case captures for accuracy.")
@click.option("--results", type=click.Path(path_type=Path, file_okay=False), default=Path("hil-results"),
              show_default=True, help="Folder for the report, the results and the log.")  # fmt: skip
@click.option("--frames", type=click.IntRange(1), help="Maximum number of captures to run on the board.")
@click.option("--tier", type=click.Choice(["smoke", "ci", "release"]), default="ci", show_default=True,
              help="How much is checked; release adds a sustained run and a soak.")  # fmt: skip
@click.option("--wait", metavar="DURATION", help="How long to wait for a board that is in use, e.g. 10m.")
@click.option("--profile", metavar="NAME|FILE.toml", help="The board's profile; default: that of the kind it reports.")
@click.option("--against", metavar="BASELINE.ksm|RESULTS", type=click.Path(path_type=Path, exists=True),
              help="Compare with a package, alternating on this board, or with an earlier run's results.")  # fmt: skip
@click.option("--blocks", type=click.IntRange(2, 200), default=12, show_default=True,
              help="Maximum number of alternations; the run ends earlier once every figure is decided.")  # fmt: skip
@policy_option
@history_option
@json_option
def run(
    package: Path, board: str, inventory: Path | None, trust: Path | None, captures: Path | None, results: Path,
    frames: int | None, tier: str, wait: str | None, profile: str | None, against: Path | None, blocks: int,
    policy: Path | None, history: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Run the suite on a board: identity, install, latency, power, accuracy, parity, rejections.

    The same as: pytest --pyargs hil.suite --ks-board BOARD --ks-package PACKAGE

    With --against it also says whether PACKAGE is worse than the baseline.
    """
    from hil.against import joined, one_board, run_blocks
    from hil.comparison.interleaved import COMPARISON_FILE
    from hil.measurements.results import RESULTS_FILE
    from hil.report.run_report import write_run_report
    from hil.suite_runner import run_suite
    from ks100.cli.verify import trust_beside

    url, store = find_board(board, inventory), trust_beside(package, trust)
    _check(url, package, store, captures, profile, waits=wait is not None)
    rules = hil_compare.read_policy(policy)
    plan, baseline = _baseline(against, package, store, captures, frames, profile, rules, blocks)
    runs = hil_history.open_history(history)
    if plan is None:
        with contextlib.suppress(OSError):  # a folder that cannot be written is the suite's to name
            (results / COMPARISON_FILE).unlink()
    with progress_bar("hil") as progress, contextlib.nullcontext(board) if plan is None else one_board(url) as where:
        compared = None if plan is None else run_blocks(where, plan, results, progress)
        found = run_suite(
            where, package, store, captures, results, inventory=inventory, tier=tier, wait=wait,
            frames=frames, profile=profile,
            progress=lambda event: progress(event.share, event.text),
        )  # fmt: skip
    change: RunComparison | None = None
    try:
        if not found.came_through:
            pass  # a run that broke off is its own verdict
        elif plan is not None and compared is not None:
            change = joined(compared, found, plan, results)
        elif baseline is not None and against is not None:
            change = hil_compare.compare_runs(baseline, found, (against, results), captures, rules, runs)
    finally:
        hil_history.keep(runs, found, results, needed=history is not None)
    if change is not None:
        write_run_report(found, results, package=package, captures=captures, comparison=change)
        return _show_change(change, found, results, as_json=as_json)
    if as_json:
        click.echo((results / RESULTS_FILE).read_text("utf-8"), nl=False)
        return verdict_code(found.verdict)
    print_results(found)
    click.echo(f"{results}: report.html, summary.md, results.json, junit.xml, pytest.log")
    return verdict_code(found.verdict)


def _show_change(change: RunComparison, found: HilResults, results: Path, *, as_json: bool) -> int:
    if as_json:
        print_json(hil_compare.comparison_json(change))
        return verdict_code(change.verdict)
    print_results(found)
    hil_compare.print_comparison(change)
    click.echo(f"{results}: report.html, summary.md, results.json, junit.xml, pytest.log")
    return verdict_code(change.verdict)


def _baseline(
    against: Path | None, package: Path, trust: Path, captures: Path | None, frames: int | None, profile: str | None,
    policy: ComparisonPolicy, blocks: int,
) -> tuple[BlockPlan | None, HilResults | None]:  # fmt: skip
    """Return how to compare by blocks where the baseline is a package, or the results where it is those of a run."""
    from firmware_bridge.package.container import PackageFile
    from hil.against import BlockPlan
    from hil.measurements.results import HilResults
    from models.captures import CaptureSet

    if against is None:
        return None, None
    if against.is_dir() or against.suffix == ".json":
        return None, HilResults.load(against)
    pool = None if captures is None else CaptureSet.load(captures, "hardware-in-the-loop comparison")
    one, other = PackageFile.open(against), PackageFile.open(package)
    return BlockPlan(one, other, trust.read_bytes(), pool, frames, profile, policy, blocks), None


def _check(url: str, package: Path, trust: Path, captures: Path | None, profile: str | None, *, waits: bool) -> None:
    """Check the arguments before the suite does, with one line and the right exit code."""
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
    if not BoardAddress.parse(url).is_ephemeral and not waits:
        with open_board(url) as board:
            board.info()


def print_results(results: HilResults) -> None:
    """Print every figure of a run with its limit, source and basis."""
    from hil.plugin.outcomes import open_lines

    print_table(FIGURE_COLUMNS, map(figure_row, results.measurements), title=f"{results.url} over {results.link}")
    for check in results.checks:
        if check.outcome.value != "passed":
            click.echo(f"{check.outcome.value}: {check.name}: {check.message}")
    for line in open_lines(results):
        click.echo(line)
    if results.package is not None and results.package.waiver:
        click.secho(waived(results.package.waiver), fg="red")
    held = sum(item.holds for item in results.rejections)
    click.echo(f"rejections: {held} of {len(results.rejections)} refused by name; suite: {results.verdict.value}")
