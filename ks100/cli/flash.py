"""``ks100 flash``: push a package to boards, activate and confirm it."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.flash_display import FlashDisplay
from ks100.cli.verify import trust_beside
from ks100.errors import ExitCode

if TYPE_CHECKING:
    from firmware_bridge.host.fleet import FlashResult, FlashTarget

__all__ = ["command"]

# Of several boards' ends the exit code is that of the gravest: a refusal says something of the package itself.
_GRAVITY = (ExitCode.REJECTED, ExitCode.BOARD_FAULT, ExitCode.TRANSFER, ExitCode.USAGE, ExitCode.LIMIT_FAILED)


@click.command(name="flash")
@click.argument("package", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--board", "boards", multiple=True, required=True, help="A board's URL; several are flashed in parallel.")
@click.option("--trust", type=click.Path(path_type=Path, dir_okay=False),
              help="The trust store; trust.ksr beside the package otherwise.")  # fmt: skip
@click.option("--unchecked", is_flag=True, help="Send even what this host would refuse, to see the board refuse it.")
@click.option("--no-activate", is_flag=True, help="Only put it into the spare slot.")
@click.option("--no-confirm", is_flag=True, help="Leave it on trial: the next reboot falls back.")
@click.option("--json", "as_json", is_flag=True, help="Print events as JSON lines.")
def command(
    package: Path,
    boards: tuple[str, ...],
    trust: Path | None,
    unchecked: bool,
    no_activate: bool,
    no_confirm: bool,
    as_json: bool,
) -> int:
    """Push PACKAGE to boards, run its trial, and keep it. A broken transfer resumes; run the command again.

    A failed board does not stop the others; the exit code is that of the gravest failure.
    """
    from firmware_bridge.host.fleet import flash
    from firmware_bridge.package.container import PackageFile
    from ks100.steps.packaging import read_trust, verify_file

    store = read_trust(trust_beside(package, trust))
    if not unchecked:
        verify_file(package, store)
    opened = PackageFile.open(package)
    cancelled = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: cancelled.set())
    try:
        with FlashDisplay(as_json=as_json) as display:
            results = flash(
                [_target(url, store.raw) for url in boards],
                opened,
                activate=not no_activate,
                confirm=not no_confirm,
                events=display.show,
                cancel=cancelled.is_set,
            )
    finally:
        signal.signal(signal.SIGINT, before)
    if not as_json:
        _print_summary(results)
    if cancelled.is_set():
        raise KeyboardInterrupt
    return exit_code(results)


def _target(url: str, trust: bytes) -> FlashTarget:
    from firmware_bridge.host.fleet import FlashTarget
    from hil.bench import open_board

    return FlashTarget(url, lambda: open_board(url, trust=trust))


def _print_summary(results: tuple[FlashResult, ...]) -> None:
    for result in results:
        name = f"{result.board} ({result.serial})" if result.serial else result.board
        if result.error is None:
            click.echo(f"{name}: slot {result.slot} holds graph {result.digest[:16]}, {result.seconds:.1f} s")
        else:
            click.echo(f"{name}: {result.error}", err=True)


def exit_code(results: tuple[FlashResult, ...]) -> ExitCode:
    """Return the exit code of the gravest failure."""
    from ks100.cli.main import code_of

    codes = {code_of(result.error) for result in results if result.error is not None}
    if not codes:
        return ExitCode.PASS
    return next((code for code in _GRAVITY if code in codes), ExitCode.INTERNAL)
