"""``ks100 hil history``: the runs so far, one of them, and how a figure went."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ks100.cli.output import json_option, print_json
from ks100.cli.tables import print_table
from ks100.errors import UsageError

if TYPE_CHECKING:
    from hil.comparison.history import History
    from hil.measurements.results import HilResults

__all__ = ["command", "history_option", "keep", "open_history"]

_F = TypeVar("_F", bound=Callable[..., Any])
_BAR = 40


def history_option(function: _F) -> _F:
    """Add ``--history``."""
    return click.option(
        "--history", type=click.Path(path_type=Path, dir_okay=False), envvar="KS100_HISTORY", show_envvar=True,
        help="The history of runs (SQLite); ~/.local/state/ks100/hil.sqlite otherwise.",
    )(function)  # fmt: skip


def open_history(path: Path | None, *, reading: bool = False) -> History:
    """Return the history in ``path``, or the user's own.

    Raises:
        EvidenceError: ``path`` is a file of something else: said before a board is touched.
        UsageError: it is to be read, and is not there.
    """
    from hil.comparison.history import History

    if path is not None:
        found = History(path)
        if reading and not found.begun:
            raise UsageError(f"there is no history {path}; ks100 hil run --history {path} begins one")
        found.runs(last=1)
        return found
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    try:
        return History(Path(state).expanduser() / "ks100" / "hil.sqlite")
    except RuntimeError as error:
        raise UsageError("no home folder for the history of runs; give --history FILE") from error


def keep(history: History, results: HilResults, folder: Path, *, needed: bool) -> None:
    """Append a run; an unwritable default file is only a remark."""
    from hil.errors import HilError

    try:
        history.append(results, folder)
    except HilError as error:
        if needed:
            raise
        click.echo(f"ks100: the run is not in the history: {error}", err=True)


@click.group(name="history")
def command() -> None:
    """Look at the runs so far: every `ks100 hil run` is appended."""


@command.command(name="list")
@click.option("--last", type=click.IntRange(1), default=20, show_default=True, help="At most so many runs.")
@history_option
@json_option
def list_runs(last: int, history: Path | None, as_json: bool) -> None:
    """List the runs, the latest first."""
    from models.records import plain

    runs = open_history(history, reading=True).runs(last)
    if as_json:
        print_json(plain(runs))
        return
    rows = [
        (str(run.id), run.began, run.verdict, f"{run.model} {run.version}", run.payload[:12],
         f"{run.board} {run.serial}", run.folder)
        for run in runs
    ]  # fmt: skip
    print_table((">run", "began", "verdict", "package", "graph", "board", "results"), rows)


@command.command()
@click.argument("run", type=click.IntRange(1))
@history_option
@json_option
def show(run: int, history: Path | None, as_json: bool) -> None:
    """Show the figures of one run, by its number."""
    from models.records import plain

    figures = open_history(history, reading=True).figures(run)
    if as_json:
        print_json(plain([{"name": name, "value": value, "unit": unit} for name, value, unit in figures]))
        return
    print_table(
        ("figure", ">value", "unit"),
        [
            (name, "" if value != value else f"{value:.5g}", "" if unit == "1" else unit)
            for name, value, unit in figures
        ],
    )


@command.command()
@click.argument("figure")
@click.option("--svg", type=click.Path(path_type=Path, dir_okay=False), help="Also draw it.")
@history_option
@json_option
def trend(figure: str, svg: Path | None, history: Path | None, as_json: bool) -> None:
    """Show how FIGURE went, from the earliest run to the latest."""
    from models.records import plain

    runs = open_history(history, reading=True)
    points = runs.trend(figure)
    if not points:
        known = ", ".join(runs.figure_names()) or "none yet"
        raise UsageError(f"no run in {runs.path} has a figure {figure!r}; there are: {known}")
    if svg is not None:
        from firmware_bridge.files import write_atomically
        from hil.report.charts.trend import trend_svg

        write_atomically(svg, trend_svg(figure, points).encode())
    if as_json:
        print_json(plain(points))
        return
    low, high = min(point.value for point in points), max(point.value for point in points)
    rows = [
        (str(point.run.id), point.run.began, f"{point.run.model} {point.run.version}", point.run.payload[:12],
         point.run.serial, f"{point.value:.5g}", _bar(point.value, low, high))
        for point in points
    ]  # fmt: skip
    print_table((">run", "began", "package", "graph", "board", f">{figure}, {points[0].unit}", ""), rows)


def _bar(value: float, low: float, high: float) -> str:
    """Return a mark between the lowest and the highest value."""
    at = round((_BAR - 1) * (value - low) / (high - low)) if high > low else 0
    return "·" * at + "•"
