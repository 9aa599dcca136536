"""``ks100 trust``: make and show the trust store of a program."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["command"]


@click.group(name="trust")
def command() -> None:
    """Make and show the signed trust store that a program's boards hold."""


@command.command()
@click.option("--keys", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True,
              help="Folder of keys, from: ks100 keys ring.")  # fmt: skip
@click.option("--program", required=True, help="The program's name.")
@click.option("--version", type=click.IntRange(1), default=1, show_default=True, help="Grows with each store.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=Path("trust.ksr"), show_default=True)
def init(keys: Path, program: str, version: int, out: Path) -> None:
    """Make the trust store of a set of keys; both roots sign it."""
    from firmware_bridge.package.container import write_atomically
    from ks100.steps.keyring import Keyring

    store = Keyring(keys).trust_store(program, version)
    write_atomically(out, store.raw)
    click.echo(f"{out}: program {program}, version {store.version}, {len(store.keys)} key, {len(store.roots)} roots")


@command.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
def show(path: Path) -> None:
    """Show who may sign for the boards that hold this store."""
    from ks100.cli.tables import print_table
    from ks100.steps.packaging import read_trust

    store = read_trust(path)
    click.echo(f"program {store.program}, version {store.version}, {store.threshold} of {len(store.roots)} roots sign")
    rows = [(root.key_id.hex()[:16], "root", root.key.algorithm.name, "") for root in store.roots]
    rows += [
        (key.key_id.hex()[:16], f"program {key.program}", key.algorithm.name,
         f"revoked: {key.revoked}" if key.revoked else f"boards: {', '.join(key.boards) or 'all'}")
        for key in store.keys
    ]  # fmt: skip
    print_table(("key", "for", "algorithm", "remark"), rows)
