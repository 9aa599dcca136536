"""``ks100 gate``: judge a candidate against its float parent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.tables import print_table, share_of
from ks100.errors import ExitCode

if TYPE_CHECKING:
    from models.evaluation.gate import GateResult

__all__ = ["GATE_CODES", "command", "print_gate"]

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
GATE_CODES = {"PASS": ExitCode.PASS, "FAIL": ExitCode.LIMIT_FAILED, "INCONCLUSIVE": ExitCode.INCONCLUSIVE}


@click.command(name="gate")
@click.argument("parent", type=_FILE)
@click.argument("candidate", type=_FILE)
@click.option("--validation", type=(_FILE, _FILE), metavar="PARENT CANDIDATE",
              help="Evaluations on the validation set, for the condition categories.")  # fmt: skip
@click.option("--policy", type=_FILE, help="Margins (TOML); 5 points on hard cases, 1.8 in each condition otherwise.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the evidence as JSON.")
def command(
    parent: Path, candidate: Path, validation: tuple[Path, Path] | None, policy: Path | None, out: Path | None
) -> int:
    """Judge CANDIDATE against PARENT: two evaluations on the same hard cases (from ks100 evaluate --out).

    Exit codes: 0 pass, 1 fail, 6 inconclusive.
    """
    from ks100.steps.judging import judge_candidate
    from models.evaluation.gate import GatePolicy

    rules = GatePolicy() if policy is None else GatePolicy.load(policy)
    result = judge_candidate((parent, candidate), validation, rules)
    if out is not None:
        result.save(out)
    print_gate(result)
    return GATE_CODES[result.verdict.value]


def print_gate(result: GateResult) -> None:
    """Print every comparison and the verdict."""
    rows = []
    for row in result.rows:
        d = row.difference
        rows.append((
            row.name, str(d.frames), str(d.objects), share_of(d.parent_ap50), share_of(d.candidate_ap50),
            f"{d.drop_points:+.1f}", f"{d.lower_points:+.1f} … {d.upper_points:+.1f}", f"{row.margin_points:g}",
            row.verdict.value + ("" if row.required else " (for information)"),
        ))  # fmt: skip
    print_table(
        ("", ">frames", ">objects", ">parent", ">candidate", ">drop", ">95 % bounds", ">margin", "verdict"),
        rows,
        title="AP50 in points, candidate against parent",
    )
    click.echo(f"gate: {result.verdict.value} ({result.reason})")
