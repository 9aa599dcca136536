"""``ks100 hil compare``: is a run worse than an earlier one; and how a comparison is shown."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ks100.cli.hil_history import history_option, open_history
from ks100.cli.output import json_option, print_json
from ks100.cli.tables import print_table
from ks100.errors import verdict_code

if TYPE_CHECKING:
    from hil.comparison.changes import Comparison
    from hil.comparison.history import History
    from hil.comparison.policy import ComparisonPolicy
    from hil.comparison.runs import RunComparison
    from hil.measurements.results import HilResults

__all__ = [
    "check_allowed",
    "command",
    "compare_runs",
    "comparison_json",
    "policy_option",
    "print_comparison",
    "read_policy",
]

_F = TypeVar("_F", bound=Callable[..., Any])


def policy_option(function: _F) -> _F:
    """Add ``--policy``."""
    return click.option(
        "--policy", type=click.Path(path_type=Path, dir_okay=False),
        help="Margins, limits and confidence of a comparison (TOML).",
    )(function)  # fmt: skip


def read_policy(path: Path | None) -> ComparisonPolicy:
    """Return the policy in ``path``, or the default one."""
    from hil.comparison.policy import ComparisonPolicy

    return ComparisonPolicy() if path is None else ComparisonPolicy.load(path)


@click.command(name="compare")
@click.argument("before", type=click.Path(path_type=Path, exists=True))
@click.argument("after", type=click.Path(path_type=Path, exists=True))
@click.option("--allow", multiple=True, metavar="WHAT",
              help="Accept that the runs differ in this: pool, loop, rails, runtime, profile, limits, board, emulator "
              "or link; repeatable.")  # fmt: skip
@click.option("--captures", type=click.Path(path_type=Path, file_okay=False),
              help="The captures of both runs: accuracy is judged on them by the gate.")  # fmt: skip
@policy_option
@history_option
@json_option
def command(
    before: Path, after: Path, allow: tuple[str, ...], captures: Path | None, policy: Path | None,
    history: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Compare two runs (results.json, or their folders): is AFTER worse than BEFORE, or can one not tell?

    AFTER passes only with all the evidence that BEFORE has. Runs that measured different things are refused. How much
    runs differ by themselves comes from the history; without it, figures that vary are undecided.
    """
    from hil.measurements.results import HilResults

    check_allowed(allow)
    rules, runs = read_policy(policy), open_history(history)
    one, other = HilResults.load(before), HilResults.load(after)
    found = compare_runs(one, other, (before, after), captures, rules, runs, allow)
    if as_json:
        print_json(comparison_json(found))
    else:
        print_comparison(found)
    return verdict_code(found.verdict)


def check_allowed(allow: tuple[str, ...]) -> None:
    """Refuse an unknown name of ``--allow``."""
    from hil.comparison.comparable import DIFFERENCES

    unknown = [name for name in allow if name not in DIFFERENCES]
    if unknown:
        raise click.UsageError(f"--allow {unknown[0]}: it is one of {', '.join(DIFFERENCES)}")


def compare_runs(
    before: HilResults, after: HilResults, places: tuple[Path, Path], captures: Path | None,
    policy: ComparisonPolicy, history: History, allow: tuple[str, ...] = (),
) -> RunComparison:  # fmt: skip
    """Compare two runs, given where their results are, with accuracy where there are captures."""
    from hil.comparison.accuracy import accuracy_of_runs
    from hil.comparison.runs import compare
    from models.captures import CaptureSet

    accuracy: tuple[Comparison, ...] = ()
    if captures is not None:
        pool = CaptureSet.load(captures, "hardware-in-the-loop comparison")
        folders = [path if path.is_dir() else path.parent for path in places]
        accuracy = accuracy_of_runs(folders[0], folders[1], pool, policy.accuracy)
    return compare(
        before, after, policy, allow=allow, spreads=history.spreads(before, after), accuracy=accuracy
    )  # fmt: skip


def print_comparison(found: RunComparison) -> None:
    """Print what differs, every figure, what is missing, and the verdict."""
    from hil.measurements.measurement import Subject

    for difference in found.differences:
        click.echo(str(difference))
    for subject, title in ((Subject.MODEL, ""), (Subject.LINK, "the link (not part of the verdict on the model)")):
        rows = [_row(row) for row in found.rows if row.subject is subject]
        if rows:
            print_table(
                ("figure", ">before", ">after", "unit", ">interval of the difference", ">margin", "verdict"),
                rows,
                title=title,
            )
    for line in (*found.lost, *found.over):
        click.echo(line)
    if found.own.value != "pass":
        click.echo(f"the later run itself: {found.own.value}")
    click.echo(f"against the baseline: {found.verdict.value}")


def comparison_json(found: RunComparison) -> dict[str, object]:
    """Return a comparison as one document."""
    from models.records import plain

    figures = [
        {"name": r.name, "before": r.before, "after": r.after, "unit": r.unit, "low": r.low, "high": r.high,
         "margin": r.margin, "verdict": r.change.value, "subject": r.subject.value, "note": r.note}
        for r in found.rows
    ]  # fmt: skip
    differences = [{"what": d.what, "before": d.before, "after": d.after} for d in found.differences]
    whole = {"verdict": found.verdict.value, "run": found.own.value, "differences": differences, "lost": found.lost,
             "over": found.over}  # fmt: skip
    shown: dict[str, object] = plain({**whole, "figures": figures})
    return shown


def _row(row: Comparison) -> tuple[str, ...]:
    change = f"{row.change.value}: {row.note}" if row.note else row.change.value
    interval = f"{row.low:+.3g} … {row.high:+.3g}" if math.isfinite(row.low) else ""
    before, after = ("" if value != value else f"{value:.4g}" for value in (row.before, row.after))
    margin = "" if row.margin != row.margin else f"{row.margin:.3g}"
    return (row.name, before, after, row.unit, interval, margin, change)
