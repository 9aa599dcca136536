"""``ks100 verify``: check a package against a trust store as a board does."""

from __future__ import annotations

from pathlib import Path

import click

from firmware_bridge.errors import InputError
from ks100.cli.output import json_option, print_json
from ks100.cli.wrapping import waived
from ks100.errors import UsageError

__all__ = ["command", "trust_beside"]


def trust_beside(package: Path, given: Path | None) -> Path:
    """Return the path of the trust store: the given one, or ``trust.ksr`` beside the package.

    For commands after which a board judges by a store of its own. A command whose answer is the verdict must not take
    what may have come together with the package.

    Raises:
        InputError: the package or the trust store is missing.
    """
    _check_file(package)
    path = given or package.resolve().parent / "trust.ksr"
    if not path.is_file():
        raise InputError(f"trust store {path} not found; give --trust FILE, or create one with: ks100 trust init")
    return path


def _check_file(package: Path) -> None:
    if package.exists() and not package.is_file() and not package.is_dir():
        raise InputError(
            f"{package} is a pipe or a device; give a regular file, since a package is read more than once"
        )
    if not package.exists():
        raise InputError(f"there is no package {package}")


@click.command(name="verify")
@click.argument("package", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--trust", type=click.Path(path_type=Path, dir_okay=False), envvar="KS100_TRUST", show_envvar=True,
              help="Your trust store; never the one that came with the package.")  # fmt: skip
@json_option
def command(package: Path, trust: Path | None, as_json: bool) -> None:
    """Check PACKAGE by all rules that need no board. Exit code 4 with the rule's name if one rejects it."""
    from ks100.steps.packaging import read_trust, verify_file

    _check_file(package)
    if trust is None:
        raise UsageError(
            f"by whose trust store? Give --trust FILE, or set KS100_TRUST; one that lies beside {package.name} proves "
            "nothing, since it may have come with it"
        )
    store = read_trust(trust)
    verified = verify_file(package, store)
    manifest = verified.manifest
    if as_json:
        print_json({
            "verified": True, "program": manifest.program, "model": manifest.model, "version": manifest.version,
            "security_version": manifest.security_version, "signer": verified.key_id.hex(),
            "gate": manifest.evidence.verdict, "waiver": manifest.evidence.waiver or None,
            "sha256": manifest.payload_sha256.hex(), "trust": str(trust), "trust_version": store.version,
            "roots": [root.key_id.hex() for root in store.roots],
        })  # fmt: skip
        return
    click.echo(
        f"{package}: {manifest.model} {manifest.version} of program {manifest.program} verifies, signed by key "
        f"{verified.key_id.hex()[:16]}, security version {manifest.security_version}, gate {manifest.evidence.verdict}"
    )
    roots = ", ".join(root.key_id.hex()[:16] for root in store.roots)
    click.echo(f"by {trust}: version {store.version} of program {store.program}, roots {roots}")
    if manifest.evidence.waiver:
        click.secho(waived(manifest.evidence.waiver), fg="red")
