"""``ks100 verify``: check a package against a trust store as a board does."""

from __future__ import annotations

from pathlib import Path

import click

from firmware_bridge.errors import InputError
from ks100.cli.output import json_option, print_json

__all__ = ["command", "trust_beside"]


def trust_beside(package: Path, given: Path | None) -> Path:
    """Return the path of the trust store: the given one, or ``trust.ksr`` beside the package.

    Raises:
        InputError: the package or the trust store is missing.
    """
    if package.exists() and not package.is_file() and not package.is_dir():
        raise InputError(
            f"{package} is a pipe or a device; give a regular file, since a package is read more than once"
        )
    if not package.exists():
        raise InputError(f"there is no package {package}")
    path = given or package.resolve().parent / "trust.ksr"
    if not path.is_file():
        raise InputError(f"there is no trust store {path}; give --trust FILE, or create one with: ks100 trust init")
    return path


@click.command(name="verify")
@click.argument("package", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--trust", type=click.Path(path_type=Path, dir_okay=False),
              help="The trust store; trust.ksr beside the package otherwise.")  # fmt: skip
@json_option
def command(package: Path, trust: Path | None, as_json: bool) -> None:
    """Check PACKAGE by all rules that need no board. Exit code 4 with the rule's name if one rejects it."""
    from ks100.steps.packaging import read_trust, verify_file

    store = read_trust(trust_beside(package, trust))
    verified = verify_file(package, store)
    manifest = verified.manifest
    if as_json:
        print_json({
            "verified": True, "program": manifest.program, "model": manifest.model, "version": manifest.version,
            "security_version": manifest.security_version, "signer": verified.key_id.hex(),
            "gate": manifest.evidence.verdict, "waiver": manifest.evidence.waiver or None,
            "sha256": manifest.payload_sha256.hex(),
        })  # fmt: skip
        return
    click.echo(
        f"{package}: {manifest.model} {manifest.version} of program {manifest.program} verifies, signed by key "
        f"{verified.key_id.hex()[:16]}, security version {manifest.security_version}, gate {manifest.evidence.verdict}"
    )
    if manifest.evidence.waiver:
        click.secho(f"WAIVED: released without a passed gate: {manifest.evidence.waiver}", fg="red")
