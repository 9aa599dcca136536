"""``ks100 sensitivity``: the loss of each group of layers by quantization, by condition."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.board_choice import find_board, inventory_option
from ks100.cli.passphrases import KEY, passphrase_for, passphrase_options
from ks100.cli.progress import progress_bar
from ks100.cli.sensitivity_tables import print_board, print_map
from ks100.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ks100.steps.on_board import OnBoard
    from models.sensitivity.map import SensitivityMap
    from models.sensitivity.study import Study

__all__ = ["command"]


def _blocks_of(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    found = []
    for value in values:
        name, sign, glob = value.partition("=")
        if not (name and sign and glob):
            raise click.BadParameter(f"{value!r} is not of the form NAME=GLOB, e.g. neck=pan_*")
        found.append((name, glob))
    return tuple(found)


@click.command(name="sensitivity")
@click.argument("network", type=click.Path(path_type=Path, exists=True))
@click.option("--captures", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True,
              help="Folder of pools; for other graphs of samples: .npz files, an array for each input.")  # fmt: skip
@click.option("--pool", "pools", multiple=True, default=("validation", "hard-dev"), show_default=True,
              help="Pool to measure on; may be given again.")  # fmt: skip
@click.option("--calibration", type=click.Path(path_type=Path, exists=True), help="Captures for the ranges.")
@click.option("--block", "blocks", metavar="NAME=GLOB", multiple=True, callback=_blocks_of,
              help="Layers that match GLOB are the block NAME; otherwise found from the structure.")  # fmt: skip
@click.option("--ranges", type=click.Path(path_type=Path, exists=True), help="A file of ranges instead of captures.")
@click.option(
    "--leaders", type=click.IntRange(1), default=10, show_default=True, help="Number of groups to measure directly."
)
@click.option("--exact", is_flag=True, help="Measure every group instead of screening.")
@click.option("--limit", type=click.IntRange(4), help="Captures of each pool, spread over it.")
@click.option(
    "--batch", type=click.IntRange(1), default=16, show_default=True, help="Frames per pass; 1 for large frames."
)
@click.option("--no-ap", is_flag=True, help="Measure only the loss, not AP.")
@click.option("--top", type=click.IntRange(1), default=15, show_default=True, help="Groups to list.")
@click.option("--work", type=click.Path(path_type=Path, file_okay=False), default=Path("runs/sensitivity"),
              show_default=True, help="Cache of measurements, reused by later runs.")  # fmt: skip
@click.option("--dask", metavar="tcp://HOST:PORT", help="Run on a Dask cluster.")
@click.option("--on-board", metavar="BOARD", help="Also measure the most sensitive groups on this board (needs --key).")
@inventory_option
@click.option(
    "--board-groups", type=click.IntRange(1), default=3, show_default=True, help="Number of groups on the board."
)
@click.option(
    "--board-frames", type=click.IntRange(1), default=16, show_default=True, help="Number of captures on the board."
)
@click.option("--key", help=f"With --on-board, the program's key: {KEY}.")
@click.option("--trust", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="With --on-board: the trust store for a virtual board that has none.")  # fmt: skip
@passphrase_options
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=Path("sensitivity.json"),
              show_default=True, help="The map to write.")  # fmt: skip
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the map as an HTML page.")
def command(
    network: Path,
    captures: Path,
    pools: tuple[str, ...],
    calibration: Path | None,
    blocks: tuple[tuple[str, str], ...],
    ranges: Path | None,
    leaders: int,
    exact: bool,
    limit: int | None,
    batch: int,
    no_ap: bool,
    top: int,
    work: Path,
    dask: str | None,
    on_board: str | None,
    inventory: Path | None,
    board_groups: int,
    board_frames: int,
    key: str | None,
    trust: Path | None,
    passphrase_file: Path | None,
    passphrase_agent: bool,
    out: Path,
    html: Path | None,
) -> None:
    """Map the loss of each group of layers of NETWORK in INT8, by condition.

    NETWORK is a float graph (.tflite) or the folder of a trained network. All groups are screened; the worst are
    measured: only that group in INT8, and only that group in float. An interrupted command resumes when repeated.
    """
    from ks100.step_code import code_of
    from ks100.steps.packaging import read_trust
    from ks100.steps.sensitivity import StudyFiles, draw_map, load_study, measure_map

    if on_board is not None and key is None:
        raise UsageError("--on-board needs --key: boards run only signed packages")
    if on_board is not None:  # checked before hours of measuring
        on_board = find_board(on_board, inventory)
        if trust is not None:
            read_trust(trust)
    files = StudyFiles(network, captures, pools, calibration, ranges, limit, blocks)
    with progress_bar("sensitivity") as progress:
        study = load_study(files, progress)
        from models.sensitivity.cache import CachedExecutor
        from models.sensitivity.cluster import executor_for
        from models.sensitivity.sweep import SweepSettings

        settings = SweepSettings(leaders=leaders, exact=exact, accuracy=not no_ap, batch=batch)
        with executor_for(dask) as executor:
            kept = work / code_of(measure_map).digest[:16]  # results of other code are not reused
            found = measure_map(study, CachedExecutor(executor, kept), settings, progress)
    found.save(out)
    print_map(found, top)
    click.echo(f"map: {out}")
    if html is not None:
        draw_map(found, max(top, 30), html)
        click.echo(f"charts: {html}")
    if on_board is not None and key is not None:
        ask = passphrase_for(key, passphrase_file, passphrase_agent)
        print_board(on_board, _on_board(study, found, on_board, key, ask, trust, board_groups, board_frames))


def _on_board(
    study: Study, found: SensitivityMap, url: str, key: str, ask: Callable[[], str], trust: Path | None, groups: int,
    frames: int,
) -> tuple[OnBoard, ...]:  # fmt: skip
    from ks100.steps.on_board import BoardRequest, measure_on_board
    from ks100.steps.packaging import read_trust
    from ks100.steps.signers import open_signer

    with open_signer(key, ask) as signer, progress_bar("on board") as progress:
        request = BoardRequest(url, signer, None if trust is None else read_trust(trust).raw, groups, frames)
        return measure_on_board(study, found, request, progress)
