"""``ks100 emulate``: run an emulated board."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import click

__all__ = ["command"]


@click.command(name="emulate")
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--trust", type=click.Path(path_type=Path, dir_okay=False), help="Provision it with this trust store.")
@click.option(
    "--profile",
    "--board",
    "board",
    metavar="NAME|FILE.toml",
    help="Profile of a factory-new board; ks100 by default.",
)
@click.option(
    "--seed", default=0, type=click.IntRange(0), show_default=True, help="Seed of the noise of time and power."
)
@click.option("--no-noise", is_flag=True, help="Time and power exactly as modelled.")
def command(folder: Path, trust: Path | None, board: str | None, seed: int, no_noise: bool) -> None:
    """Run an emulated board with its state in FOLDER, until interrupted.

    It runs the real agent behind a real sshd on a loopback port and a pseudo-terminal. Numerics are real; NPU time and
    rail power are modelled, with noise like that of a real board.
    """
    from hil.boards import open_board
    from hil.virtual.emulated import EmulatedBoard
    from ks100.steps.packaging import read_trust

    store = None if trust is None else read_trust(trust)
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    with EmulatedBoard.start(folder, profile=board, noise=not no_noise, seed=seed) as running:
        if store is not None:
            with open_board(running.ssh_url) as opened:
                opened.provision(store.raw)
        click.echo(f"ssh     {running.ssh_url}\nserial  {running.serial_url}")
        click.echo(f"or      emu:{folder}    (press Ctrl-C to end)", err=True)
        try:
            ended.wait()
        except KeyboardInterrupt:
            click.echo("stopping", err=True)
