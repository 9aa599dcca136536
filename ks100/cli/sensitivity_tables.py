"""Tables of a sensitivity map: groups, blocks, attention, and measurements on a board."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ks100.cli.tables import print_table

if TYPE_CHECKING:
    from ks100.steps.on_board import OnBoard
    from models.sensitivity.intervals import Interval
    from models.sensitivity.map import GroupFigures, SensitivityMap

__all__ = ["print_board", "print_map"]


def print_board(url: str, measured: tuple[OnBoard, ...]) -> None:
    """Print the groups' divergence on a board and on this host."""

    def text(v: Interval) -> str:
        return f"{1e6 * v.value:.1f} ({1e6 * v.lower:.1f} … {1e6 * v.upper:.1f})"

    print_table(
        ("group", ">on the board", ">here"),
        [(m.group, text(m.board), text(m.host)) for m in measured],
        title=f"divergence (x 1e-6) alone in INT8, real graphs on {url}",
    )


def print_map(found: SensitivityMap, top: int) -> None:
    """Print the ``top`` groups, the blocks' Shapley values and the entropy of attention."""
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
        ("block", ">fraction of the loss", ">90 % interval", ">of parameters", ">of MACs"),
        [
            (b.block, f"{b.share.value:.1%}", f"{b.share.lower:.1%} … {b.share.upper:.1%}", f"{b.parameters:.1%}",
             f"{b.macs:.1%}")
            for b in found.shares.blocks
        ],
        title=f"fractions of total loss (Shapley, {found.shares.permutations} orders, {found.shares.frames} frames)",
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
