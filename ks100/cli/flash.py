"""``ks100 flash``: push a package to boards, activate it and confirm it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.board_choice import BoardSelection, choose_boards, inventory_option, read_names
from ks100.cli.custody_options import custody_options
from ks100.cli.output import json_option
from ks100.cli.verify import trust_beside
from ks100.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from firmware_bridge.host.address import BoardAddress
    from ks100.cli.flash_record import FlashRecord
    from ks100.custody.recorder import ProvenanceRecorder

__all__ = ["command"]

_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(name="flash")
@click.argument("package", type=_FILE, required=False)
@click.option("--board", "boards", multiple=True, metavar="BOARD",
              help="A board's URL, or its name in the inventory; repeat it to flash several in parallel.")  # fmt: skip
@inventory_option
@click.option("--all", "everything", is_flag=True,
              help="All boards of the inventory, and those plugged in or running here.")  # fmt: skip
@click.option("--retry-failed", is_flag=True, help="Only the boards that failed in the last run with PACKAGE.")
@click.option("--trust", type=_FILE, help="The trust store; by default trust.ksr beside the package.")
@click.option("--unchecked", is_flag=True, help="Skip the checks on this host, to test the board's.")
@click.option("--reinstall", is_flag=True, help="Also on boards that already run it; replaces their fallback.")
@click.option("--create", is_flag=True, help="Create emulated boards (emu:DIR) that do not exist.")
@click.option("--no-activate", is_flag=True, help="Only install it in the spare slot.")
@click.option("--no-confirm", is_flag=True, help="Leave it on trial: the next reboot reverts it.")
@click.option("--events", is_flag=True, help="Print events as JSON lines.")
@json_option
@custody_options
def command(
    package: Path | None,
    boards: tuple[str, ...],
    inventory: Path | None,
    everything: bool,
    retry_failed: bool,
    trust: Path | None,
    unchecked: bool,
    reinstall: bool,
    create: bool,
    no_activate: bool,
    no_confirm: bool,
    events: bool,
    as_json: bool,
    recorder: ProvenanceRecorder | None,
) -> int:
    """Push PACKAGE to boards, run its trial, and confirm it. Run the command again to resume a broken transfer.

    A failed board does not stop the others; the exit code is that of the worst failure. Boards that already run
    PACKAGE are skipped. If a serial port is unplugged, the command waits 15 seconds for it. Ctrl-C leaves every board
    unchanged, or completes an activation that has begun; a second Ctrl-C ends at once.
    """
    from firmware_bridge.package.container import PackageFile
    from ks100.cli.flash_record import FlashRecord, record_places
    from ks100.cli.flash_run import FlashRequest, FlashRun
    from ks100.steps.packaging import read_trust, verify_file

    if package is None:
        from ks100.cli.flash_questions import ask_boards, ask_package

        package = ask_package()
        if not (boards or inventory or everything or retry_failed):
            boards = ask_boards(package, inventory)
    if no_activate and no_confirm:
        raise UsageError("--no-activate implies no confirmation: omit --no-confirm")
    if events and as_json:
        raise UsageError("--events and --json exclude each other")
    store = read_trust(trust_beside(package, trust))
    if not unchecked:
        verify_file(package, store)
    opened = PackageFile.open(package)
    places = record_places(opened.digest)
    if retry_failed:
        chosen = _failed(FlashRecord.load(places), BoardSelection(boards, inventory, everything))
    else:
        chosen = choose_boards(BoardSelection(boards, inventory, everything), whole_inventory=True)
    if not chosen:
        click.echo("no board failed in the last run: nothing to retry", err=True)
        return ExitCode.PASS
    wish = FlashRequest(not no_activate, not no_activate and not no_confirm, reinstall, create, again=retry_failed)
    run = FlashRun(package, opened, store.raw, chosen, places, wish, recorder)
    return run.go(events=events, as_json=as_json)


def _failed(record: FlashRecord, wanted: BoardSelection) -> dict[str, BoardAddress]:
    """Return the boards that failed in the last run."""
    from firmware_bridge.host.address import BoardAddress

    if wanted.boards or wanted.everything:
        raise UsageError("--retry-failed uses the boards of the last run; omit --board and --all")
    if not record.boards:
        raise UsageError("this package was never flashed from this host: no run to retry")
    # The inventory may have been corrected since.
    named = read_names(wanted.inventory)
    return {e.name: named.get(e.name) or BoardAddress.parse(e.url) for e in record.boards if not e.passed}
