"""``ks100 npu``: fit a board profile's constants to measured graphs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.output import json_option, print_json
from ks100.cli.tables import print_table

if TYPE_CHECKING:
    from hil.virtual.npu_fit import NpuFit
    from ks100.steps.npu_trace import Trace

__all__ = ["command"]


@click.group(name="npu")
def command() -> None:
    """Make the cost model a board's own: collect what was measured, fit the profile's constants to it."""


@command.command()
@click.argument("runs", nargs=-1, required=True, metavar="PACKAGE RESULTS...", type=click.Path(path_type=Path))
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The trace (JSON) to write."
)
def trace(runs: tuple[Path, ...], out: Path) -> None:
    """Collect latency and energy of packages from the results folders of their HIL runs, in pairs."""
    from ks100.steps.npu_trace import collect

    if len(runs) % 2:
        raise click.UsageError("give pairs: a package, and the results folder of its run")
    found = collect(list(zip(runs[::2], runs[1::2], strict=True)), out)
    click.echo(f"{out}: {len(found.runs)} graphs, measured on {found.board}")


@command.command()
@click.argument("trace", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--profile", "board", default="ks100", show_default=True, metavar="NAME|FILE.toml",
              help="The profile to start from.")  # fmt: skip
@click.option("--fit", "wanted", multiple=True, metavar="KEY", help="A constant to fit, e.g. npu.INT8.*; may be given "
              "again. All rates and energies that the graphs depend on otherwise.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the fitted profile (TOML).")
@json_option
def fit(trace: Path, board: str, wanted: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    """Fit a profile's constants to a TRACE: latency and energy of several graphs on the board.

    Each constant comes with a 95 % interval, each graph with what the fitted model misses it by. A trace that cannot
    tell constants apart is refused, with their names.
    """
    from firmware_bridge.device.profile import profile_text
    from firmware_bridge.files import write_atomically
    from hil.virtual.npu_fit import fit_constants
    from ks100.steps.npu_trace import Trace

    given = Trace.load(trace)
    found = fit_constants(profile_text(board), board, given.graphs(trace.parent), given.runs, wanted)
    if as_json:
        print_json(_record(found, given))
    else:
        _print(found, given)
    if out is not None:
        write_atomically(out, found.text.encode())
        click.echo(f"{out}: the profile with {len(found.constants)} fitted constants", err=as_json)


def _print(found: NpuFit, given: Trace) -> None:
    rows = [
        (c.key, f"{c.before:.4g}", f"{c.value:.4g}", f"{c.low:.4g} … {c.high:.4g}", "wide" if c.wide else "")
        for c in found.constants
    ]  # fmt: skip
    print_table(("constant", ">profile", ">fitted", ">95 % interval", ""), rows, title=f"fitted to {given.board}")
    lines = [
        (run.graph, f"{run.latency_ms:.3f}", f"{miss[0]:+.1%}", f"{run.energy_mj:.3f}", f"{miss[1]:+.1%}")
        for run, miss in zip(given.runs, found.residuals, strict=True)
    ]
    columns = ("graph", ">latency ms", ">model", ">energy mJ", ">model")
    print_table(columns, lines, title="measured, and how far the fitted model is off")


def _record(found: NpuFit, given: Trace) -> dict[str, object]:
    return {
        "board": given.board,
        "constants": {
            c.key: {"before": c.before, "value": c.value, "low": c.low, "high": c.high} for c in found.constants
        },
        "graphs": [
            {"graph": run.graph, "latency_error": float(miss[0]), "energy_error": float(miss[1])}
            for run, miss in zip(given.runs, found.residuals, strict=True)
        ],
    }
