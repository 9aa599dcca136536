"""``ks100 verify-raw``: verify a raw signature, or a published set of vectors, by the code for packages."""

from __future__ import annotations

from pathlib import Path

import click

from ks100.errors import ExitCode, UsageError

__all__ = ["command"]

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(name="verify-raw")
@click.option("--public-key", type=_FILE, help="Public key, PEM.")
@click.option("--message", type=_FILE, help="The message (not its digest).")
@click.option("--signature", type=_FILE, help="The signature.")
@click.option("--encoding", type=click.Choice(["der", "p1363"]), default="der", show_default=True)
@click.option("--vectors", type=_FILE, help="Test vectors in Wycheproof's JSON format: P-256/SHA-256 or P-384/SHA-384.")
def command(
    public_key: Path | None, message: Path | None, signature: Path | None, encoding: str, vectors: Path | None
) -> int:
    """Verify a raw ECDSA signature. Exit code 0 if valid, 4 if not; 1 if verdicts of test vectors differ."""
    if vectors is not None and public_key is message is signature is None:
        return _judge(vectors)
    if vectors is not None or public_key is None or message is None or signature is None:
        raise UsageError("give --public-key, --message and --signature, or only --vectors")
    from firmware_bridge.input_files import FileKind, read_bytes
    from firmware_bridge.package.ecdsa import SignatureEncoding, verify_raw
    from ks100.steps.signers import read_public_key

    key = read_public_key(public_key)
    content, signed = read_bytes(message, FileKind.OTHER), read_bytes(signature, FileKind.SIGNATURE)
    valid = verify_raw(key.spki, content, signed, SignatureEncoding(encoding))
    click.echo(f"{signature}: {'valid' if valid else 'NOT valid'}, {key.algorithm.name}, key {key.key_id.hex()[:16]}")
    return ExitCode.PASS if valid else ExitCode.REJECTED


def _judge(path: Path) -> int:
    from firmware_bridge.input_files import FileKind, read_text
    from firmware_bridge.package.vectors import check_vectors

    results = check_vectors(read_text(path, FileKind.JSON))
    wrong = [result for result in results if not result.agrees]
    for result in wrong:
        said = "valid" if result.valid else "not valid"
        click.echo(f"vector {result.number}: expected {result.expected}, found {said} ({result.comment})")
    click.echo(f"{path}: {len(results)} vectors, {len(results) - len(wrong)} as published")
    return ExitCode.LIMIT_FAILED if wrong else ExitCode.PASS
