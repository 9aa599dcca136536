"""``ks100 sensitivity``: which groups of layers quantization hurts, and where."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.passphrases import KEY, passphrase_for, passphrase_options
from ks100.cli.progress import progress_bar
from ks100.cli.tables import print_table
from ks100.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from ks100.steps.on_board import OnBoard
    from models.sensitivity.intervals import Interval
    from models.sensitivity.map import GroupFigures, SensitivityMap
    from models.sensitivity.study import Study

__all__ = ["command"]


@click.command(name="sensitivity")
@click.argument("network", type=click.Path(path_type=Path, exists=True))
@click.option("--captures", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True,
              help="Folder of pools.")  # fmt: skip
@click.option("--pool", "pools", multiple=True, default=("validation", "hard-dev"), show_default=True,
              help="Pool to measure on; may be given again.")  # fmt: skip
@click.option(
    "--calibration", type=click.Path(path_type=Path, exists=True), help="Captures that ranges are measured on."
)
@click.option("--ranges", type=click.Path(path_type=Path, exists=True), help="A file of ranges instead.")
@click.option("--leaders", type=click.IntRange(1), default=10, show_default=True, help="Groups to measure directly.")
@click.option("--exact", is_flag=True, help="Measure every group; trust no screen.")
@click.option("--limit", type=click.IntRange(4), help="Captures of each pool, spread over it.")
@click.option(
    "--batch", type=click.IntRange(1), default=16, show_default=True, help="Frames at a time; 1 for large ones."
)
@click.option("--no-ap", is_flag=True, help="Measure the loss alone, not AP.")
@click.option("--top", type=click.IntRange(1), default=15, show_default=True, help="Groups to list.")
@click.option("--work", type=click.Path(path_type=Path, file_okay=False), default=Path("runs/sensitivity"),
              show_default=True, help="What is measured is kept here, and found again.")  # fmt: skip
@click.option("--dask", metavar="tcp://HOST:PORT", help="Run on a Dask cluster.")
@click.option("--on-board", metavar="BOARD", help="Also measure the most sensitive groups on this board; needs --key.")
@click.option("--board-groups", type=click.IntRange(1), default=3, show_default=True, help="How many of them.")
@click.option("--board-frames", type=click.IntRange(1), default=16, show_default=True, help="On how many captures.")
@click.option("--key", help=f"With --on-board, the program's key: {KEY}.")
@click.option("--trust", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="With --on-board: the trust store for a virtual board that has none.")  # fmt: skip
@passphrase_options
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=Path("sensitivity.json"),
              show_default=True, help="The map to write.")  # fmt: skip
@click.option("--picture", type=click.Path(path_type=Path, dir_okay=False), help="Draw the map on this page (HTML).")
def command(
    network: Path,
    captures: Path,
    pools: tuple[str, ...],
    calibration: Path | None,
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
    board_groups: int,
    board_frames: int,
    key: str | None,
    trust: Path | None,
    passphrase_file: Path | None,
    passphrase_agent: bool,
    out: Path,
    picture: Path | None,
) -> None:
    """Map what INT8 costs each group of layers of NETWORK, by condition.

    NETWORK is a float graph (.tflite) or the folder of a trained network. All groups are screened; the worst are
    measured: alone in INT8, alone restored to float. Interrupted, the same command goes on where it was.
    """
    from ks100.steps.sensitivity import StudyFiles, draw_map, load_study, measure_map

    if on_board is not None and key is None:
        raise UsageError("--on-board needs --key: a board runs nothing that is not signed")
    files = StudyFiles(network, captures, pools, calibration, ranges, limit)
    with progress_bar("sensitivity") as progress:
        study = load_study(files, progress)
        from models.sensitivity.cluster import executor_for
        from models.sensitivity.store import KeptExecutor
        from models.sensitivity.sweep import SweepSettings

        settings = SweepSettings(leaders=leaders, exact=exact, accuracy=not no_ap, batch=batch)
        with executor_for(dask) as executor:
            found = measure_map(study, KeptExecutor(executor, work), settings, progress)
    found.save(out)
    _print(found, top)
    click.echo(f"map: {out}")
    if picture is not None:
        draw_map(found, max(top, 30), picture)
        click.echo(f"pictures: {picture}")
    if on_board is not None and key is not None:
        ask = passphrase_for(key, passphrase_file, passphrase_agent)
        _print_board(on_board, _on_board(study, found, on_board, key, ask, trust, board_groups, board_frames))


def _on_board(
    study: Study, found: SensitivityMap, url: str, key: str, ask: Callable[[], str], trust: Path | None, groups: int,
    frames: int,
) -> tuple[OnBoard, ...]:  # fmt: skip
    from ks100.steps.on_board import BoardRequest, measure_on_board
    from ks100.steps.signers import open_signer

    with open_signer(key, ask) as signer, progress_bar("on board") as progress:
        request = BoardRequest(url, signer, None if trust is None else trust.read_bytes(), groups, frames)
        return measure_on_board(study, found, request, progress)


def _print_board(url: str, measured: tuple[OnBoard, ...]) -> None:
    def text(v: Interval) -> str:
        return f"{1e6 * v.value:.1f} ({1e6 * v.lower:.1f} … {1e6 * v.upper:.1f})"

    print_table(
        ("group", ">on the board", ">here"),
        [(m.group, text(m.board), text(m.host)) for m in measured],
        title=f"divergence (x 1e-6) alone in INT8, real graphs on {url}",
    )


def _print(found: SensitivityMap, top: int) -> None:
    pools = list(found.pools)
    listed = sorted(found.groups, key=lambda g: -found.worst(g))[:top]
    print_table(
        ("group", "block", *(f">{p}" for p in pools), "worst in", ">restored", ">task loss", ">AP points", ""),
        [_row(group, pools) for group in listed],
        title=f"the {len(listed)} most sensitive of {len(found.groups)} groups: divergence (x 1e-6) alone in INT8",
    )
    if found.rank_correlation is not None:
        measured = sum(group.measured for group in found.groups)
        click.echo(f"rank correlation of screen and measurement over {measured} groups: {found.rank_correlation:.3f}")
    _print_shares(found)
    _print_entropy(found, pools[0])


def _row(group: GroupFigures, pools: list[str]) -> tuple[str, ...]:
    def text(figure: Interval | None, scale: float = 1e6, digits: int = 0) -> str:
        if figure is None:
            return "—"
        return " … ".join(
            f"{scale * v:+.{digits}f}" if digits else f"{scale * v:.0f}" for v in (figure.lower, figure.upper)
        )

    def all_of(kind: str) -> Interval | None:
        return group.of(kind, pools[0])

    by_category = {
        name: v.value for pool in pools for name, v in group.figures["int8"].get(pool, {}).items() if name != "all"
    }
    worst = max(by_category, key=lambda name: by_category[name], default="—")
    values = [f"{1e6 * v.value:.0f} ({text(v)})" if (v := group.of("int8", p)) else "—" for p in pools]
    return (
        group.name, group.block, *values, worst.partition("=")[2] or worst, text(all_of("restored")),
        text(all_of("rise")), text(all_of("ap"), 1.0, 2), "measured" if group.measured else "screened",
    )  # fmt: skip


def _print_shares(found: SensitivityMap) -> None:
    if found.shares is None:
        return
    print_table(
        ("block", ">share of the loss", ">90 % interval", ">of parameters", ">of MACs"),
        [
            (b.block, f"{b.share.value:.1%}", f"{b.share.lower:.1%} … {b.share.upper:.1%}", f"{b.parameters:.1%}",
             f"{b.macs:.1%}")
            for b in found.shares.blocks
        ],
        title=f"shares of the whole loss (Shapley, {found.shares.permutations} orders, {found.shares.frames} frames)",
    )  # fmt: skip
    a = found.shares.attention
    total = sum(b.share.value for b in found.shares.blocks)
    click.echo(f"sum {total:.1%}; attention {a.value:.1%} ({a.lower:.1%} … {a.upper:.1%}); published: about 60 %")


def _print_entropy(found: SensitivityMap, pool: str) -> None:
    if not found.entropy:
        return
    rows = []
    for group, by_pool in found.entropy.items():
        figures = by_pool.get(pool, {})
        parts = {name: value for name, value in figures.items() if name != "all"}
        flat = max(parts, key=lambda name: parts[name], default="—")
        rows.append((group, f"{figures.get('all', 0):.3f}", f"{parts.get(flat, 0):.3f}", flat.partition("=")[2]))
    print_table(("attention", ">entropy", ">highest", "in"), rows, title=f"attention entropy on {pool}: 1 is flat")
