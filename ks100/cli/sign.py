"""``ks100 sign``: sign a graph as a package."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.custody_options import custody_options
from ks100.cli.passphrases import KEY, passphrase_for, passphrase_options
from ks100.errors import UsageError

if TYPE_CHECKING:
    from ks100.custody.recorder import ProvenanceRecorder
    from ks100.steps.packaging import Origin, Release
    from models.card import ModelCard

__all__ = ["command"]

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_RUNTIMES = ["litert", "tflite-runtime"]


@click.command(name="sign")
@click.argument("graph", type=_FILE)
@click.option("--key", help=f"The program's key: {KEY}.")
@passphrase_options
@click.option("--digest-out", type=click.Path(path_type=Path, dir_okay=False),
              help="Sign elsewhere: write the digest to sign here, and an unsigned package to --out.")  # fmt: skip
@click.option("--public-key", type=_FILE, help="With --digest-out: the public key (PEM) of the external key.")
@click.option(
    "--card", "card_file", type=_FILE, help="Model card; default: GRAPH's name with .card.toml, if it exists."
)
@click.option("--program", required=True, help="The program's name.")
@click.option("--model", default="detector", show_default=True, help="The model's name.")
@click.option("--version", default="0.1.0", show_default=True, help="The model's version.")
@click.option("--security-version", type=click.IntRange(0), default=1, show_default=True, help="Rollback index.")
@click.option(
    "--profile", "board", default="ks100", show_default=True, metavar="NAME|FILE.toml", help="The board's profile."
)
@click.option("--runtime", "runtimes", type=click.Choice(_RUNTIMES), multiple=True, default=["litert"],
              show_default=True)  # fmt: skip
@click.option("--gate", type=_FILE, help="The gate's evidence for this graph.")
@click.option(
    "--judge",
    type=_FILE,
    envvar="KS100_JUDGE",
    show_envvar=True,
    help="The judge's public key (.pub): evidence without its statement (gate --key) is refused.",
)
@click.option("--policy", type=_FILE, envvar="KS100_GATE_POLICY", show_envvar=True,
              help="The program's margins (TOML): evidence that was judged by others is refused.")  # fmt: skip
@click.option("--waive", default="", metavar="REASON", help="Sign without a passed gate; the reason is signed too.")
@click.option("--plan", type=_FILE, help="The precision plan.")
@click.option("--calibration", type=click.Path(path_type=Path, exists=True), help="The calibration captures.")
@click.option("--parent", type=_FILE, help="The float graph it was made from.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Default: GRAPH.ksm, with --digest-out GRAPH.unsigned.",
)
@custody_options
def command(
    graph: Path,
    key: str | None,
    passphrase_file: Path | None,
    passphrase_agent: bool,
    digest_out: Path | None,
    public_key: Path | None,
    card_file: Path | None,
    program: str,
    model: str,
    version: str,
    security_version: int,
    board: str,
    runtimes: tuple[str, ...],
    gate: Path | None,
    judge: Path | None,
    policy: Path | None,
    waive: str,
    plan: Path | None,
    calibration: Path | None,
    parent: Path | None,
    out: Path | None,
    recorder: ProvenanceRecorder | None,
) -> None:
    """Sign GRAPH as a package. Refused without a passed gate for exactly this graph, unless waived with a reason."""
    from ks100.steps.captures import load_captures
    from ks100.steps.evaluating import read_graph
    from ks100.steps.packaging import Origin, Release
    from ks100.steps.signers import read_public_key
    from models.card import ModelCard

    card = ModelCard.beside(graph) if card_file is None else ModelCard.load(card_file)
    origin = Origin(
        plan=None if plan is None else _plan_digest(plan),
        calibration=None if calibration is None else load_captures(calibration)[0].digest,
        float_parent=None if parent is None else hashlib.sha256(read_graph(parent)).hexdigest(),
        gate=gate,
        judge=None if judge is None else read_public_key(judge),
        policy=policy,
        waiver=waive,
        custody="" if recorder is None else recorder.folder.name,
    )
    release = Release(program, model, version, security_version, board, runtimes)
    if digest_out is not None and public_key is not None and key is None:
        _await(graph, release, origin, card, public_key, digest_out, out or graph.with_suffix(".unsigned"))
    elif key is not None and digest_out is None and public_key is None:
        ask = passphrase_for(key, passphrase_file, passphrase_agent)
        _sign(graph, release, origin, card, key, ask, out or graph.with_suffix(".ksm"), recorder)
    else:
        raise UsageError("give --key to sign here, or --digest-out and --public-key to sign elsewhere")
    if waive:
        click.secho(f"WAIVED: without a passed gate: {waive}", fg="red", err=True)


def _sign(
    graph: Path, release: Release, origin: Origin, card: ModelCard | None, key: str, passphrase: Callable[[], str],
    out: Path, recorder: ProvenanceRecorder | None,
) -> None:  # fmt: skip
    from ks100.steps.packaging import sign_graph
    from ks100.steps.signers import open_signer

    with open_signer(key, passphrase) as signer:
        package = sign_graph(graph, release, origin, signer, out, card)
    if recorder is not None:
        from ks100.steps.provenance import record_signing

        record_signing(recorder, package, out.name)
    click.echo(f"{out}: {len(package.data)} bytes, sha256 {package.digest}")


def _await(
    graph: Path, release: Release, origin: Origin, card: ModelCard | None, public_key: Path, digest_out: Path, out: Path
) -> None:
    from firmware_bridge.files import write_atomically
    from ks100.steps.packaging import await_signature
    from ks100.steps.signers import read_public_key

    key = read_public_key(public_key)
    digest = await_signature(graph, release, origin, key, out, card)
    write_atomically(digest_out, digest)
    click.echo(f"{digest_out}: {len(digest)} bytes to sign with {key.algorithm.name}, key {key.key_id.hex()[:16]}")
    click.echo(f"{out}: unsigned; complete it with: ks100 attach {out} --signature FILE --public-key {public_key}")


def _plan_digest(path: Path) -> str:
    from models.quant.plan import PrecisionPlan

    return PrecisionPlan.load(path).digest
