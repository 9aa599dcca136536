"""``ks100 provision``: bind boards to a program by its trust store, after confirmation and on record."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.board_answers import Answer, ask_each, end_code, error_lines
from ks100.cli.board_choice import BoardSelection, boards_options, choose_boards
from ks100.cli.custody_options import custody_options
from ks100.cli.output import json_option, print_json
from ks100.cli.wrapping import wrapped
from ks100.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from firmware_bridge.host.address import BoardAddress
    from firmware_bridge.host.board import Board
    from firmware_bridge.package.trust_store import TrustStore
    from ks100.custody.recorder import ProvenanceRecorder

__all__ = ["command"]

_ROOT_DIGITS = 16
_FILE = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True, slots=True)
class _Before:
    """A board's previous trust."""

    kind: str
    serial: str
    store: bytes

    def is_new(self) -> bool:
        return not self.store


@click.command(name="provision")
@boards_options
@click.option("--trust", type=_FILE, required=True, help="The trust store.")
@click.option("--yes", is_flag=True, help="Bind factory-new boards without asking.")
@click.option("--authorize", "keys", type=_FILE, multiple=True,
              help="An SSH public key (.pub) that may reach the agent from now on; repeat it.")  # fmt: skip
@click.option("--admin", metavar="[USER@]HOST", help="With --authorize: who may write there, by your own ssh; root at "
              "the board's host otherwise.")  # fmt: skip
@json_option
@custody_options
def command(
    boards: tuple[str, ...],
    everything: bool,
    inventory: Path | None,
    trust: Path,
    yes: bool,
    keys: tuple[Path, ...],
    admin: str | None,
    as_json: bool,
    recorder: ProvenanceRecorder | None,
) -> int:
    """Install a trust store on each BOARD: the first unconditionally, later ones only if the current roots signed them.

    The first store binds a factory-new board: from then on it runs only what this program's keys have signed. The store
    is shown and must be confirmed once before that.
    """
    from ks100.steps.packaging import read_trust

    store = read_trust(trust)
    chosen = choose_boards(BoardSelection(boards, inventory, everything))
    authorized = [_public_key(path) for path in keys]
    hosts = _admins(chosen, admin) if authorized else {}
    before = ask_each(chosen, lambda board: _Before(board.welcome.board, board.welcome.serial, board.trust()))
    if len(before) == 1 and before[0].error is not None:
        raise before[0].error
    new = [answer for answer in before if answer.value is not None and answer.value.is_new()]
    if new and not yes:
        _ask(store, trust, new)
    reached = {answer.name: answer.address for answer in before if answer.error is None}
    answers = [answer for answer in before if answer.error is not None]
    answers += ask_each(reached, lambda board: _provision(board, store)) if reached else ()
    for name, host in hosts.items():
        if name in reached:
            _authorize(host, authorized)
    if recorder is not None:
        _record(recorder, trust, store, [answer for answer in answers if answer.error is None])
    return _show(answers, store, as_json)


def _ask(store: TrustStore, path: Path, new: Sequence[Answer[_Before]]) -> None:
    """Show the trust store, and ask once for confirmation."""
    names = ", ".join(f"{a.name} ({a.value.serial})" for a in new if a.value is not None)
    roots = ", ".join(root.key_id.hex()[:_ROOT_DIGITS] for root in store.roots)
    keys = sum(not key.revoked for key in store.keys)
    click.echo(
        wrapped(
            f"{path} is of program {store.program}, version {store.version}, with {keys} valid keys; {store.threshold} "
            f"of its roots sign: {roots}"
        ),
        err=True,
    )
    if not sys.stdin.isatty():
        raise UsageError(f"{names}: factory-new, and bound permanently by the first trust store; confirm with --yes")
    click.confirm(wrapped(f"Bind {names} to it? Only a reset of the board undoes that"), abort=True, err=True)


def _provision(board: Board, store: TrustStore) -> _Before:
    """Install the store; the error of a board bound to another program names the remedy."""
    from firmware_bridge.errors import BoardError, RejectedError

    before = board.trust()
    if before == store.raw:
        return _Before(board.welcome.board, board.welcome.serial, before)
    try:
        board.provision(store.raw)
    except RejectedError as error:
        held = board.info()
        if not held.program or held.program == store.program:
            raise
        raise BoardError(
            f"{held.serial} is bound to program {held.program} and refuses the store of {store.program} "
            f"({error.reason.code}). If it was bound to the wrong one, reset it: on a real board as root `systemctl "
            "stop ks100-agent; rm -r /var/lib/ks100/*; systemctl start ks100-agent`, which removes its models too; an "
            "emulated board by removing its folder"
        ) from error
    return _Before(board.welcome.board, board.welcome.serial, before)


def _show(answers: Sequence[Answer[_Before]], store: TrustStore, as_json: bool) -> int:
    if as_json:
        print_json({
            "program": store.program, "trust_version": store.version,
            "boards": [a.record(serial=a.value.serial if a.value else None) for a in answers],
        })  # fmt: skip
        return end_code(answers)
    if len(answers) == 1 and answers[0].error is not None:
        raise answers[0].error
    for answer in answers:
        if answer.value is not None:
            had = " already" if answer.value.store == store.raw else ""
            click.echo(
                f"{answer.name}: {answer.value.serial} has the trust store of program {store.program}, version "
                f"{store.version}{had}"
            )
    for line in error_lines(answers):
        click.echo(wrapped(f"ks100: {line}"), err=True)
    return ExitCode(end_code(answers))


def _record(recorder: ProvenanceRecorder, path: Path, store: TrustStore, answers: Sequence[Answer[_Before]]) -> None:
    """Record for each board, by serial number, the store it has."""
    from ks100.custody.statement import Act, Artifact

    for answer in answers:
        if answer.value is not None and answer.value.store != store.raw:
            where = {
                "board": answer.value.serial, "kind": answer.value.kind, "link": answer.address.url,
                "program": store.program, "version": str(store.version),
            }  # fmt: skip
            recorder.record(Act.PROVISION, [Artifact.of(path.name, store.raw)], parameters=where, once=False)


def _public_key(path: Path) -> str:
    """Return the line of an SSH public key without options."""
    from firmware_bridge.input_files import FileKind, read_text

    words = read_text(path, FileKind.PUBLIC_KEY).split()
    if len(words) < 2 or not words[0].startswith(("ssh-", "ecdsa-", "sk-")) or len(read_text(path).splitlines()) != 1:
        raise UsageError(f"{path} is not an SSH public key (one line: ssh-ed25519 AAAA... NAME); give the .pub file")
    return " ".join(words[:3])


def _admins(chosen: dict[str, BoardAddress], admin: str | None) -> dict[str, str]:
    """Return for each board the login that may write its authorized keys."""
    from firmware_bridge.host.address import SshAddress

    if admin is not None and len(chosen) > 1:
        raise UsageError("--admin is for one board; several boards are reached as root at their hosts")
    hosts = {}
    for name, address in chosen.items():
        if admin is not None:
            hosts[name] = admin
        elif isinstance(address, SshAddress):
            hosts[name] = f"root@{address.host}"
        else:
            raise UsageError(f"{name} is not reached over SSH: give the host of its authorized keys by --admin")
    return hosts


def _authorize(host: str, keys: Sequence[str]) -> None:
    """Add keys to those that may start the agent's relay, without duplicates."""
    from firmware_bridge.errors import InputError
    from firmware_bridge.host.address import BoardAddress, SshAddress
    from firmware_bridge.links.openssh_command import OpenSsh
    from firmware_bridge.links.openssh_remote import run_remote

    address = BoardAddress.parse(host if "://" in host else f"ssh://{host}")
    if not isinstance(address, SshAddress):
        raise InputError(f"--admin must be [USER@]HOST, not {host!r}")
    lines = "\n".join(f"restrict {key}" for key in keys) + "\n"
    script = (
        'set -eu; umask 077; home=$(getent passwd ks100 | cut -d: -f6); mkdir -p "$home/.ssh"; '
        'f="$home/.ssh/authorized_keys"; touch "$f"; '
        'cat "$f" - | awk "NF && !seen[\\$0]++" > "$f.new"; mv "$f.new" "$f"; chown -R ks100: "$home/.ssh"'
    )
    run_remote(OpenSsh.find(address), f"sh -c {shlex.quote(script)}", lines.encode(), 60.0)
    click.echo(f"{host}: {len(keys)} keys may reach the agent", err=True)
