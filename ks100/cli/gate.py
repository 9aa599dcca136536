"""``ks100 gate``: judge a candidate against its float parent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.custody_options import custody_options
from ks100.cli.passphrases import KEY, passphrase_for, passphrase_options
from ks100.cli.tables import percent, print_table
from ks100.errors import UsageError, verdict_code

if TYPE_CHECKING:
    from ks100.custody.recorder import ProvenanceRecorder
    from models.evaluation.gate import GateResult

__all__ = ["command", "print_gate"]

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(name="gate")
@click.argument("parent", type=_FILE, metavar="PARENT|EVIDENCE")
@click.argument("candidate", type=_FILE, required=False)
@click.option("--validation", type=(_FILE, _FILE), metavar="PARENT CANDIDATE",
              help="Evaluations on the validation set, for the condition categories.")  # fmt: skip
@click.option("--policy", type=_FILE, help="Margins (TOML); by default 5 points on hard cases and 1.8 per condition.")
@click.option("--captures", type=click.Path(path_type=Path, exists=True),
              help="The hard cases themselves: also show critical cells and the worst frames.")  # fmt: skip
@click.option("--cells", type=_FILE, help="Critical cells (TOML, see docs/evaluation.md).")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write the evidence as JSON.")
@click.option("--key", help=f"The judge's key, to sign the verdict: {KEY}.")
@passphrase_options
@custody_options
def command(
    parent: Path, candidate: Path | None, validation: tuple[Path, Path] | None, policy: Path | None,
    captures: Path | None, cells: Path | None, out: Path | None, key: str | None, passphrase_file: Path | None,
    passphrase_agent: bool, recorder: ProvenanceRecorder | None,
) -> int:  # fmt: skip
    """Judge CANDIDATE against PARENT: two evaluations on the same hard cases (from ks100 evaluate --out).

    With one file, the evidence of an earlier verdict (--out): recompute it from its records, and refuse it if it
    differs.

    With --key the judge's statement on evidence, graph, policy and verdict is written beside the evidence (.dsse); sign
    --judge then takes no other.

    Exit codes: 0 pass, 1 fail, 6 inconclusive.
    """
    from ks100.steps.evaluating import judge_candidate
    from models.evaluation.cells import load_cells
    from models.evaluation.gate import GatePolicy, GateResult

    if cells is not None:
        load_cells(cells, None)
    if key is not None and candidate is not None and out is None:
        raise UsageError("the judge signs the evidence: say with --out where it is to be")
    if candidate is None:
        if validation or policy or out:
            raise UsageError("evidence contains its policy and evaluations; give PARENT and CANDIDATE to judge again")
        result = GateResult.load(parent)
        click.echo(f"{parent}: recomputed from its records with the same result (digest {result.digest[:16]})")
    else:
        rules = GatePolicy() if policy is None else GatePolicy.load(policy)
        result = judge_candidate((parent, candidate), validation, rules)
    if out is not None:
        result.save(out)
    if key is not None:
        _sign(result, out or parent, key, passphrase_for(key, passphrase_file, passphrase_agent))
    if recorder is not None:
        from ks100.steps.provenance import record_gate

        record_gate(recorder, result, parent.name if out is None else out.name)
    print_gate(result)
    if captures is not None:
        _explain(result, captures, cells)
    return verdict_code(result.verdict)


def _sign(result: GateResult, evidence: Path, key: str, passphrase: Callable[[], str]) -> None:
    from ks100.steps.judging import sign_verdict
    from ks100.steps.signers import open_signer

    with open_signer(key, passphrase) as signer:
        click.echo(f"{sign_verdict(result, evidence, signer)}: signed by the judge's key {signer.key_id.hex()[:16]}")


def _explain(result: GateResult, captures: Path, cells: Path | None) -> None:
    """Print additional information: critical cells and the worst frames among the hard cases."""
    from ks100.cli.evaluate import print_cells, print_worst
    from ks100.steps.captures import load_captures
    from models.evaluation.cells import DEFAULT_CELLS, load_cells
    from models.readers import Options

    watched = DEFAULT_CELLS if cells is None else load_cells(cells, result.hard.parent.classes)
    classes = result.hard.parent.classes
    options = Options(wanted=classes)
    chosen = load_captures(captures, "explain the gate", options=options)[0].labelled.with_classes(classes)
    print_cells(chosen, (result.hard.parent, result.hard.candidate), watched)
    print_worst(chosen, result.hard.candidate, result.hard.parent, 5)


def print_gate(result: GateResult) -> None:
    """Print every comparison and the verdict."""
    metric = result.hard.parent.metric
    rows = []
    for row in result.rows:
        d = row.difference
        rows.append((
            row.name, str(d.frames), str(d.objects), percent(d.parent_ap50), percent(d.candidate_ap50),
            f"{d.drop_points:+.1f}", f"{d.lower_points:+.1f} … {d.upper_points:+.1f}", f"{row.margin_points:g}",
            f"{d.lost} / {d.gained}", row.verdict.value + ("" if row.required else " (for information)"),
        ))  # fmt: skip
    print_table(
        (
            "",
            ">frames",
            ">objects",
            ">parent",
            ">candidate",
            ">drop",
            ">95 % bounds",
            ">margin",
            ">lost / gained",
            "verdict",
        ),
        rows,
        title=f"{metric.value} in {metric.unit}, candidate against parent",
    )
    click.echo(f"gate: {result.verdict.value} ({result.reason})")
