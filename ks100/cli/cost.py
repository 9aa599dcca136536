"""``ks100 cost``: modelled latency and power of a graph on a board."""

from __future__ import annotations

from pathlib import Path

import click

from ks100.cli.tables import print_table

__all__ = ["command"]


@click.command(name="cost")
@click.argument("graph", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--board", default="ks100", show_default=True, help="A profile's name, or a TOML file.")
@click.option("--top", type=click.IntRange(1), default=12, show_default=True, help="Operations to list.")
def command(graph: Path, board: str, top: int) -> None:
    """Model what GRAPH costs on a board, op by op. Every figure is MODELLED."""
    from firmware_bridge.target.cost import cost
    from firmware_bridge.target.graph import Graph
    from firmware_bridge.target.profile import BoardProfile
    from ks100.steps.judging import read_graph

    profile = BoardProfile.load(board)
    found = cost(Graph.parse(read_graph(graph)), profile)
    listed = sorted(found.ops, key=lambda item: -item.latency_us)[:top]
    print_table(
        ("operation", "type", "on", ">M MAC", ">µs", ">µJ", "bound by"),
        [
            (item.op.name.split(";")[0][-48:], item.op.type, "NPU" if item.on_npu else "CPU",
             f"{item.op.macs / 1e6:.3f}", f"{item.latency_us:.1f}", f"{item.energy_uj:.1f}", item.bound)
            for item in listed
        ],
        title=f"the {len(listed)} slowest of {len(found.ops)} operations on {profile.name}, MODELLED",
    )  # fmt: skip
    watts = found.watts(profile.frame_rate_hz)
    click.echo(
        f"{found.latency_ms:.2f} ms and {found.energy_mj:.2f} mJ a frame; {watts:.2f} W at {profile.frame_rate_hz:g} "
        f"frames/s of {profile.budget_mw / 1000:g} W; {found.npu_ops} operations on the NPU, {found.cpu_ops} on the CPU"
    )
