"""``ks100 trust``: create, change and show the trust store of a program."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ks100.cli.output import json_option, print_json
from ks100.cli.passphrases import KEY, passphrase_for, passphrase_options
from ks100.errors import UsageError

if TYPE_CHECKING:
    from firmware_bridge.package.signing import Signer
    from firmware_bridge.package.trust_store import TrustStore

__all__ = ["command"]


_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_PREFIX = 8
_F = TypeVar("_F", bound=Callable[..., Any])


def _changing(function: _F) -> _F:
    """Add the options of every change: the store, its roots, and the output."""
    for option in (
        click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Default: replace STORE."),
        passphrase_options,
        click.option("--root", "roots", multiple=True, required=True, help=f"A root key; repeatable. {KEY}."),
        click.argument("store", type=_FILE),
    ):
        function = option(function)
    return function


@click.group(name="trust")
def command() -> None:
    """Create, change and show the signed trust store of a program's boards.

    A change creates the next version, in place or in --out; install it with: ks100 provision.
    """


@command.command()
@click.option("--keys", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True,
              help="Folder of keys, from: ks100 keys ring.")  # fmt: skip
@click.option("--program", required=True, help="The program's name.")
@click.option("--version", type=click.IntRange(1), default=1, show_default=True, help="Increases with each store.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=Path("trust.ksr"), show_default=True)
def init(keys: Path, program: str, version: int, out: Path) -> None:
    """Create the trust store of a set of keys, signed by both roots."""
    from firmware_bridge.files import write_atomically
    from ks100.steps.keyring import Keyring

    if out.exists():
        raise UsageError(
            f"{out} exists; a store is changed by ks100 trust add, revoke, rotate or floor: its boards take only what "
            "its roots continue. Give --out for another one"
        )
    store = Keyring(keys).trust_store(program, version)
    write_atomically(out, store.raw)
    click.echo(f"{out}: program {program}, version {store.version}, {len(store.keys)} key, {len(store.roots)} roots")


@command.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@json_option
def show(path: Path, as_json: bool) -> None:
    """Show the keys that may sign for boards with this store."""
    from rich.markup import escape

    from ks100.cli.tables import print_table
    from ks100.steps.packaging import read_trust

    store = read_trust(path)
    if as_json:
        print_json({
            "program": store.program, "version": store.version, "threshold": store.threshold,
            "roots": [{"key_id": r.key_id.hex(), "algorithm": r.key.algorithm.name} for r in store.roots],
            "keys": [
                {"key_id": k.key_id.hex(), "program": k.program, "algorithm": k.algorithm.name,
                 "boards": list(k.boards), "revoked": k.revoked or None}
                for k in store.keys
            ],
            "floors": dict(store.floors),
        })  # fmt: skip
        return
    click.echo(f"program {store.program}, version {store.version}, {store.threshold} of {len(store.roots)} roots sign")
    rows = [(root.key_id.hex()[:16], "root", root.key.algorithm.name, "") for root in store.roots]
    rows += [
        (key.key_id.hex()[:16], f"program {key.program}", key.algorithm.name,
         f"[red]revoked: {escape(key.revoked)}[/red]" if key.revoked else f"boards: {', '.join(key.boards) or 'all'}")
        for key in store.keys
    ]  # fmt: skip
    rows += [("", f"floor of {program}", "", f"security version {least}") for program, least in store.floors]
    print_table(("key", "for", "algorithm", "remark"), rows)


@command.command()
@_changing
@click.argument("key", type=_FILE)
@click.option("--kind", "boards", multiple=True, help="A kind of board it may sign for; repeatable, by default all.")
@click.option("--from", "begin", type=click.DateTime(), help="Begin of its validity, UTC.")
@click.option("--until", "end", type=click.DateTime(), help="End of its validity, UTC.")
def add(
    store: Path, key: Path, roots: tuple[str, ...], passphrase_file: Path | None, passphrase_agent: bool,
    out: Path | None, boards: tuple[str, ...], begin: datetime | None, end: datetime | None,
) -> None:  # fmt: skip
    """Allow the public key in KEY (PEM) to sign packages of the program."""
    from firmware_bridge.package.trust_store import ProgramKey
    from ks100.steps.packaging import read_trust
    from ks100.steps.signers import read_public_key

    public, current = read_public_key(key), read_trust(store)
    added = ProgramKey(public.spki, current.program, tuple(sorted(set(boards))), _seconds(begin), _seconds(end))
    with _signers(roots, passphrase_file, passphrase_agent) as signers:
        _replace(store, out, _amend(current, signers=signers, created_s=_now_s(), add=[added]))


@command.command()
@_changing
@click.argument("key_id")
@click.option("--reason", required=True, help="Shown with every rejection.")
def revoke(
    store: Path, key_id: str, reason: str, roots: tuple[str, ...], passphrase_file: Path | None, passphrase_agent: bool,
    out: Path | None,
) -> None:  # fmt: skip
    """Revoke the program key KEY_ID (at least its first 8 digits): boards reject everything it has signed."""
    from ks100.steps.packaging import read_trust

    current = read_trust(store)
    found = [key.key_id for key in current.keys if len(key_id) >= _PREFIX and key.key_id.hex().startswith(key_id)]
    if len(found) != 1:
        raise UsageError(f"{len(found)} program keys of {store} begin with {key_id!r}, need one; see: ks100 trust show")
    with _signers(roots, passphrase_file, passphrase_agent) as signers:
        _replace(store, out, _amend(current, signers=signers, created_s=_now_s(), revoke={found[0]: reason}))


@command.command()
@_changing
@click.option("--new-root", "fresh", multiple=True, required=True, help="A root key from now on; repeatable, also for "
              "old roots that stay. It signs too.")  # fmt: skip
@click.option(
    "--threshold", type=click.IntRange(2), help="Number of roots that must sign from now on; unchanged by default."
)
def rotate(
    store: Path, roots: tuple[str, ...], fresh: tuple[str, ...], threshold: int | None, passphrase_file: Path | None,
    passphrase_agent: bool, out: Path | None,
) -> None:  # fmt: skip
    """Replace the roots; a threshold of both old and new ones must sign."""
    from ks100.steps.packaging import read_trust

    current = read_trust(store)
    with _signers(dict.fromkeys([*roots, *fresh]), passphrase_file, passphrase_agent) as signers:
        by_name = dict(zip(dict.fromkeys([*roots, *fresh]), signers, strict=True))
        spki = [by_name[name].public_key_spki for name in dict.fromkeys(fresh)]
        changed = _amend(current, signers=signers, created_s=_now_s(), roots=spki, threshold=threshold)
        _replace(store, out, changed)


@command.command()
@_changing
@click.argument("security_version", type=click.IntRange(0))
def floor(
    store: Path, security_version: int, roots: tuple[str, ...], passphrase_file: Path | None, passphrase_agent: bool,
    out: Path | None,
) -> None:  # fmt: skip
    """Reject packages of the program below SECURITY_VERSION; a floor is never lowered."""
    from ks100.steps.packaging import read_trust

    current = read_trust(store)
    with _signers(roots, passphrase_file, passphrase_agent) as signers:
        floors = {current.program: security_version}
        _replace(store, out, _amend(current, signers=signers, created_s=_now_s(), floors=floors))


@contextmanager
def _signers(keys: Iterable[str], file: Path | None, agent: bool) -> Iterator[Sequence[Signer]]:
    from ks100.steps.signers import open_signer

    with ExitStack() as stack:
        yield [stack.enter_context(open_signer(key, passphrase_for(key, file, agent))) for key in keys]


def _amend(current: TrustStore, **changes: Any) -> TrustStore:
    from firmware_bridge.package.amend import amend

    return amend(current, **changes)


def _replace(store: Path, out: Path | None, changed: TrustStore) -> None:
    from firmware_bridge.files import write_atomically

    write_atomically(out or store, changed.raw)
    good = sum(not key.revoked for key in changed.keys)
    click.echo(f"{out or store}: program {changed.program}, version {changed.version}, {good} good keys, "
               f"{changed.threshold} of {len(changed.roots)} roots sign")  # fmt: skip


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.replace(tzinfo=UTC).timestamp())


def _now_s() -> int:
    return int(time.time())
