"""``ks100 sign``: sign a graph into a package."""

from __future__ import annotations

import hashlib
from pathlib import Path

import click

__all__ = ["command"]

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_RUNTIMES = ["litert", "tflite-runtime"]


@click.command(name="sign")
@click.argument("graph", type=_FILE)
@click.option("--key", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The program's key (PEM).")
@click.option("--passphrase-file", type=click.Path(path_type=Path, dir_okay=False), help="Asked for otherwise.")
@click.option("--program", required=True, help="The program's name.")
@click.option("--model", default="detector", show_default=True, help="The model's name.")
@click.option("--version", default="0.1.0", show_default=True, help="The model's version.")
@click.option("--security-version", type=click.IntRange(0), default=1, show_default=True, help="Rollback index.")
@click.option("--runtime", "runtimes", type=click.Choice(_RUNTIMES), multiple=True, default=["litert"],
              show_default=True)  # fmt: skip
@click.option("--gate", type=_FILE, help="The gate's evidence for these very bytes.")
@click.option("--waive", default="", metavar="REASON", help="Sign without a passed gate; the reason is signed too.")
@click.option("--plan", type=_FILE, help="The precision plan.")
@click.option("--calibration", type=click.Path(path_type=Path, exists=True), help="The calibration captures.")
@click.option("--parent", type=_FILE, help="The float graph that it was made from.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="GRAPH.ksm otherwise.")
def command(
    graph: Path,
    key: Path,
    passphrase_file: Path | None,
    program: str,
    model: str,
    version: str,
    security_version: int,
    runtimes: tuple[str, ...],
    gate: Path | None,
    waive: str,
    plan: Path | None,
    calibration: Path | None,
    parent: Path | None,
    out: Path | None,
) -> None:
    """Sign GRAPH. Refused without a passed gate for these very bytes, unless it is waived with a reason."""
    from firmware_bridge.package.signing import PemSigner
    from ks100.cli.keys import ask_passphrase
    from ks100.steps.captures import load_captures
    from ks100.steps.packaging import Origin, Release, sign_graph

    origin = Origin(
        plan=None if plan is None else _plan_digest(plan),
        calibration=None if calibration is None else load_captures(calibration)[0].digest,
        float_parent=None if parent is None else hashlib.sha256(parent.read_bytes()).hexdigest(),
        gate=gate,
        waiver=waive,
    )
    release = Release(program, model, version, security_version, runtimes=runtimes)
    signer = PemSigner.load(key, ask_passphrase(passphrase_file))
    package = sign_graph(graph, release, origin, signer, out or graph.with_suffix(".ksm"))
    click.echo(f"{out or graph.with_suffix('.ksm')}: {len(package.data)} bytes, sha256 {package.digest}")
    if waive:
        click.secho(f"signed without a passed gate: {waive}", fg="red", err=True)


def _plan_digest(path: Path) -> str:
    from models.quant.plan import PrecisionPlan

    return PrecisionPlan.load(path).digest
