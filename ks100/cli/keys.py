"""``ks100 keys``: make and show signing keys."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["command"]


@click.group(name="keys")
def command() -> None:
    """Make and show signing keys. Private keys are always encrypted, mode 0600."""


@command.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--algorithm", type=click.Choice(["ES256", "ES384"]), default="ES256", show_default=True)
@click.option(
    "--passphrase-file", type=click.Path(path_type=Path, dir_okay=False), help="The passphrase is its first line."
)
def new(path: Path, algorithm: str, passphrase_file: Path | None) -> None:
    """Create a key in PATH, and its public key in PATH.pub."""
    from firmware_bridge.package.ecdsa import Algorithm
    from firmware_bridge.package.signing import PemSigner
    from ks100.cli.passphrases import ask_passphrase

    signer = PemSigner.generate(path, ask_passphrase(passphrase_file, fresh=True), Algorithm[algorithm])
    click.echo(f"{path}: {algorithm}, key id {signer.key_id.hex()}")


@command.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
def ring(folder: Path) -> None:
    """Create a set of keys in FOLDER: two roots, a program key, a custody log key, and their passphrase file."""
    from ks100.steps.keyring import Keyring

    made = Keyring.create(folder)
    for path in sorted(made.folder.glob("*.pem")):
        click.echo(f"{path}")


@command.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
def show(path: Path) -> None:
    """Show the algorithm and id of the public key in PATH (or in PATH.pub)."""
    from ks100.steps.signers import read_public_key

    public = path if path.suffix == ".pub" else path.with_name(path.name + ".pub")
    key = read_public_key(public)
    click.echo(f"{public}: {key.algorithm.name}, key id {key.key_id.hex()}")
