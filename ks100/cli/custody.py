"""``ks100 custody``: show and verify the custody of a package."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.output import json_option, print_json
from ks100.cli.tables import print_table
from ks100.cli.wrapping import waived
from ks100.errors import UsageError

if TYPE_CHECKING:
    from ks100.custody.log import Entry

__all__ = ["command"]

_LOG = click.option("--log", type=click.Path(path_type=Path, file_okay=False),
                    help="The log's folder; custody/ beside the package otherwise.")  # fmt: skip


@click.group(name="custody")
def command() -> None:
    """Show and verify the chain of custody of a package."""


@command.command()
@click.argument("package", type=click.Path(path_type=Path, dir_okay=False))
@_LOG
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write an HTML page instead.")
@json_option
def show(package: Path, log: Path | None, html: Path | None, as_json: bool) -> None:
    """Show the statements about PACKAGE and its pushes. Signatures are not checked; see verify."""
    from firmware_bridge.package.container import PackageFile
    from ks100.custody.chain import chain_of
    from ks100.custody.log import CustodyLog

    opened = PackageFile.open(package)
    manifest = opened.manifest_unverified
    chain = chain_of(opened.digest, CustodyLog.open(log or package.parent / "custody"))
    if html is not None:
        from firmware_bridge.files import write_atomically
        from ks100.custody.page import page_of

        write_atomically(html, page_of(chain, manifest).encode())
        click.echo(f"{html}: {len(chain.entries)} statements")
        return
    if as_json:
        print_json({"package": opened.digest, "verified": False, "waiver": manifest.evidence.waiver or None,
                    "entries": [_record(entry) for entry in chain.entries]})  # fmt: skip
        return
    rows = []
    for entry in chain.entries:
        s = entry.statement
        used = ", ".join(f"{item.name} {item.sha256[:12]}" for item in s.inputs)
        how = ", ".join(f"{name}={value}" for name, value in s.parameters)
        made = ", ".join(f"{item.name} {item.sha256[:12]}" for item in s.subjects)
        when = time.strftime("%Y-%m-%d %H:%MZ", time.gmtime(s.time_s))
        rows.append((str(entry.index), when, s.act.value, made, used or "—", how, s.actor))
    print_table((">#", "when", "act", "of", "from", "how", "who"), rows)
    _warn_of_waiver(manifest.evidence.waiver)


@command.command()
@click.argument("package", type=click.Path(path_type=Path, dir_okay=False))
@_LOG
@click.option("--key", type=click.Path(path_type=Path, dir_okay=False),
              envvar="KS100_LOG_PUBLIC_KEY", show_envvar=True,
              help="The log's public key (.pub), from who keeps the log; none beside PACKAGE is taken.")  # fmt: skip
@click.option("--checkpoint", type=click.Path(path_type=Path, dir_okay=False),
              help="A checkpoint seen earlier: the log must extend it.")  # fmt: skip
@json_option
def verify(package: Path, log: Path | None, key: Path | None, checkpoint: Path | None, as_json: bool) -> None:
    """Verify the log, and that the chain of PACKAGE proves its manifest. Exit code 4 if not."""
    from firmware_bridge.input_files import FileKind, read_text
    from firmware_bridge.package.container import PackageFile
    from ks100.custody.chain import chain_of, verify_chain
    from ks100.custody.log import CustodyLog, verify_log
    from ks100.steps.signers import read_public_key

    opened = PackageFile.open(package)
    if key is None:
        raise UsageError(
            "by whose key? Give the log's public key with --key FILE, or set KS100_LOG_PUBLIC_KEY; one that lies "
            f"beside {package.name} proves nothing, since it may have come with it"
        )
    folder, public = log or package.parent / "custody", read_public_key(key)
    spki = public.spki
    seen = None if checkpoint is None else read_text(checkpoint, FileKind.SIGNATURE)
    CustodyLog.open(folder)
    entries = verify_log(folder, seen, spki)
    chain = chain_of(opened.digest, entries)
    verify_chain(chain, opened.manifest_unverified)
    if as_json:
        waiver = opened.manifest_unverified.evidence.waiver
        print_json({"package": opened.digest, "verified": True, "waiver": waiver or None, "log_entries": len(entries),
                    "entries": [_record(entry) for entry in chain.entries]})  # fmt: skip
        return
    acts = " → ".join(entry.statement.act.value for entry in chain.entries)
    click.echo(f"{package}: {len(entries)} entries verify by {key}, key {public.key_id.hex()[:16]}; chain {acts}")
    _warn_of_waiver(opened.manifest_unverified.evidence.waiver)


def _record(entry: Entry) -> dict[str, object]:
    """Return an entry of the log as JSON values."""
    s = entry.statement
    return {
        "index": entry.index, "leaf": entry.leaf, "key_id": entry.key_id, "act": s.act.value, "time_s": s.time_s,
        "actor": s.actor, "tool": s.tool, "parameters": dict(s.parameters),
        "subjects": [{"name": item.name, "sha256": item.sha256} for item in s.subjects],
        "inputs": [{"name": item.name, "sha256": item.sha256} for item in s.inputs],
    }  # fmt: skip


def _warn_of_waiver(waiver: str) -> None:
    if waiver:
        click.secho(waived(waiver), fg="red")
