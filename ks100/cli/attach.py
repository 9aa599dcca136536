"""``ks100 attach``: complete an unsigned package with a signature made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.custody_options import custody_options

if TYPE_CHECKING:
    from ks100.custody.recorder import ProvenanceRecorder

__all__ = ["command"]

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(name="attach")
@click.argument("unsigned", type=_FILE)
@click.option(
    "--signature", type=_FILE, required=True, help="The signature over the digest of ks100 sign --digest-out."
)
@click.option("--public-key", type=_FILE, required=True, help="Public key (PEM) of the signing key.")
@click.option("--encoding", type=click.Choice(["der", "p1363"]), default="der", show_default=True,
              help="How it is written: OpenSSL writes DER, tokens write P1363.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Default: UNSIGNED with the suffix .ksm.")
@custody_options
def command(
    unsigned: Path,
    signature: Path,
    public_key: Path,
    encoding: str,
    out: Path | None,
    recorder: ProvenanceRecorder | None,
) -> None:
    """Attach a signature to UNSIGNED, from ks100 sign --digest-out, if it verifies."""
    from firmware_bridge.files import write_atomically
    from firmware_bridge.input_files import FileKind, read_bytes, wrong_kind
    from firmware_bridge.package.container import PackageFile
    from firmware_bridge.package.detached import attach
    from firmware_bridge.package.ecdsa import SignatureEncoding
    from ks100.steps.signers import read_public_key

    key, target = read_public_key(public_key), out or unsigned.with_suffix(".ksm")
    whole, signed = read_bytes(unsigned, FileKind.PACKAGE), read_bytes(signature, FileKind.SIGNATURE)
    if (wrong := wrong_kind(unsigned, whole, FileKind.PACKAGE)) is not None:
        raise wrong
    data = attach(whole, signed, SignatureEncoding(encoding), key)
    package = PackageFile.of(data)
    write_atomically(target, data)
    if recorder is not None:
        from ks100.steps.provenance import record_signing

        record_signing(recorder, package, target.name)
    click.echo(f"{target}: {len(data)} bytes, sha256 {package.digest}")
    waiver = package.manifest_unverified.evidence.waiver
    if waiver:
        click.secho(f"WAIVED: without a passed gate: {waiver}", fg="red", err=True)
