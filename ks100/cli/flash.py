"""``ks100 flash``: push a package to boards, activate and confirm it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.custody_options import custody_options
from ks100.cli.flash_record import FlashEntry, FlashRecord, record_path
from ks100.cli.flash_targets import TargetSelection, choose_boards
from ks100.cli.verify import trust_beside
from ks100.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from firmware_bridge.host.address import BoardAddress
    from firmware_bridge.host.fleet import FlashResult, FlashTarget
    from firmware_bridge.package.container import PackageFile
    from ks100.custody.recorder import ProvenanceRecorder

__all__ = ["command"]

# Of several boards' ends the exit code is that of the gravest: a refusal says something of the package itself.
_GRAVITY = (ExitCode.REJECTED, ExitCode.BOARD_FAULT, ExitCode.TRANSFER, ExitCode.USAGE, ExitCode.LIMIT_FAILED)


@click.command(name="flash")
@click.argument("package", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--board",
    "boards",
    multiple=True,
    help="A board's URL, or its name in the inventory; several are flashed in parallel.",
)
@click.option(
    "--inventory",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A labgrid environment file; without --board, all its boards.",
)
@click.option("--all", "everything", is_flag=True, help="All boards plugged into this machine, and the inventory's.")
@click.option("--retry-failed", is_flag=True, help="Only the boards that failed when PACKAGE was flashed last.")
@click.option(
    "--trust",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The trust store; trust.ksr beside the package otherwise.",
)
@click.option("--unchecked", is_flag=True, help="Send even what this host would refuse, to see the board refuse it.")
@click.option("--no-activate", is_flag=True, help="Only put it into the spare slot.")
@click.option("--no-confirm", is_flag=True, help="Leave it on trial: the next reboot falls back.")
@click.option("--json", "as_json", is_flag=True, help="Print events as JSON lines.")
@custody_options
def command(
    package: Path,
    boards: tuple[str, ...],
    inventory: Path | None,
    everything: bool,
    retry_failed: bool,
    trust: Path | None,
    unchecked: bool,
    no_activate: bool,
    no_confirm: bool,
    as_json: bool,
    recorder: ProvenanceRecorder | None,
) -> int:
    """Push PACKAGE to boards, run its trial, and keep it. A broken transfer resumes; run the command again.

    A failed board does not stop the others; the exit code is that of the gravest failure. Ctrl-C leaves every board as
    it was, or finishes it where the switch to the new model has begun; a second Ctrl-C ends at once.
    """
    from firmware_bridge.host.fleet import flash
    from firmware_bridge.package.container import PackageFile
    from ks100.cli.flash_display import open_display, show_ends
    from ks100.steps.packaging import read_trust, verify_file

    store = read_trust(trust_beside(package, trust))
    if not unchecked:
        verify_file(package, store)
    opened = PackageFile.open(package)
    kept = record_path(opened.digest)
    record = FlashRecord.load(kept)
    chosen = choose_boards(TargetSelection(boards, inventory, everything, retry_failed), record)
    if not chosen:
        click.echo("no board failed in the last run: nothing to retry", err=True)
        return ExitCode.PASS
    targets = [_target(name, address, store.raw) for name, address in chosen.items()]
    with _interruptible() as cancelled:
        with open_display(chosen, as_json=as_json) as display:
            results = flash(
                targets,
                opened,
                activate=not no_activate,
                confirm=not no_confirm,
                events=display.show,
                cancel=cancelled,
            )
        interrupted = cancelled()
    entries = _entries(results, chosen)
    (record.with_retried(entries) if retry_failed else FlashRecord(entries)).save(kept)
    if recorder is not None:
        _state(recorder, package, opened, results, chosen, activated=not no_activate)
    show_ends(results, [entry.exit_code for entry in entries], as_json=as_json)
    if interrupted:
        raise KeyboardInterrupt
    return _gravest(entries)


def _target(name: str, address: BoardAddress, trust: bytes) -> FlashTarget:
    from firmware_bridge.host.fleet import FlashTarget
    from hil.boards import open_board

    return FlashTarget(name, lambda: open_board(address, trust=trust))


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Yield whether Ctrl-C was pressed; pressed again it interrupts at once, as it does elsewhere."""
    pressed = threading.Event()

    def on_interrupt(*_: object) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _entries(results: Sequence[FlashResult], chosen: Mapping[str, BoardAddress]) -> tuple[FlashEntry, ...]:
    from ks100.cli.main import code_of

    now_s = round(time.time(), 3)
    return tuple(
        FlashEntry(
            result.board,
            chosen[result.board].url,
            result.serial,
            result.passed,
            int(ExitCode.PASS if result.error is None else code_of(result.error)),
            "" if result.error is None else str(result.error),
            now_s,
        )
        for result in results
    )


def _state(
    recorder: ProvenanceRecorder,
    path: Path,
    package: PackageFile,
    results: Sequence[FlashResult],
    chosen: Mapping[str, BoardAddress],
    *,
    activated: bool,
) -> None:
    """State for each board that has the package, by its serial number, that it was pushed there."""
    from ks100.custody.statement import Act, Artifact

    subject = Artifact(path.name, package.digest)
    for result in results:
        if result.passed:
            where = {"board": result.serial, "slot": result.slot, "link": chosen[result.board].url}
            for act in (Act.PUSH, Act.ACTIVATE) if activated else (Act.PUSH,):
                recorder.record(act, [subject], parameters=where, once=False)


def _gravest(entries: Sequence[FlashEntry]) -> ExitCode:
    codes = {entry.exit_code for entry in entries if not entry.passed}
    if not codes:
        return ExitCode.PASS
    return next((code for code in _GRAVITY if code in codes), ExitCode.INTERNAL)
