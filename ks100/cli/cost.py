"""``ks100 cost``: modelled latency and power of a graph on a board."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ks100.cli.output import json_option, print_json
from ks100.cli.tables import print_table

if TYPE_CHECKING:
    from firmware_bridge.device.cost import GraphCost
    from firmware_bridge.device.profile import BoardProfile

__all__ = ["command"]


@click.command(name="cost")
@click.argument("model", type=click.Path(path_type=Path))
@click.option("--plan", help="Cost of the float MODEL under a plan: a file, or int8, int16, mixed, fp32.")
@click.option("--profile", "board", default="ks100", show_default=True, metavar="NAME|FILE.toml",
              help="The board's profile.")  # fmt: skip
@click.option("--runtime", type=click.Choice(["litert", "tflite-runtime"]), help="Default: the board's.")
@click.option("--top", type=click.IntRange(1), default=12, show_default=True, help="Operations to list.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write the roofline as an HTML page.")
@click.option("--export", type=click.Path(path_type=Path, dir_okay=False), help="Also write MODEL as a graph.")
@click.option("--constants", is_flag=True, help="List the profile's constants with their sources.")
@json_option
def command(
    model: Path,
    plan: str | None,
    board: str,
    runtime: str | None,
    top: int,
    html: Path | None,
    export: Path | None,
    constants: bool,
    as_json: bool,
) -> None:
    """Model latency and energy of MODEL on a board, op by op. All figures are MODELLED.

    MODEL is a graph (.tflite), a package, the folder of a trained network, or the name of a network such as
    fusion-transformer, which is built with untrained weights at the same cost.
    """
    from firmware_bridge.device.cost import cost
    from firmware_bridge.device.graph import Graph
    from firmware_bridge.device.profile import BoardProfile
    from ks100.steps.costs import draw_roofline, graph_of, planned_graph

    profile = BoardProfile.load(board)
    data = graph_of(model)
    if export is not None:
        export.write_bytes(data)
    graph = Graph.parse(data)
    found = cost(graph if plan is None else planned_graph(data, plan, runtime or profile.runtime), profile)
    title = f"{model.name}{'' if plan is None else f' as {plan}'} on {profile.name}"
    if as_json:
        print_json(_record(found, profile))
    else:
        _print(found, profile, title, top)
    if constants and not as_json:
        rows = [(item.key, f"{item.value:g}", item.source) for item in profile.constants]
        print_table(("constant", ">value", "source"), rows, title=f"the profile of {profile.name}")
    if html is not None:
        draw_roofline(found, profile, title, html)
        click.echo(f"roofline: {html}", err=as_json)


def _record(found: GraphCost, profile: BoardProfile) -> dict[str, object]:
    """Return the cost as JSON values; all of it is MODELLED."""
    rate_hz = profile.frame_rate_hz
    return {
        "board": profile.name, "basis": "modelled", "latency_ms": found.latency_ms, "energy_mj": found.energy_mj,
        "watts": found.watts(rate_hz), "budget_watts": profile.budget_mw / 1e3, "rate_hz": rate_hz,
        "keeps_up": found.keeps_up(rate_hz), "npu_ops": found.npu_ops, "cpu_ops": found.cpu_ops,
        "operations": [
            {"name": item.op.name, "type": item.op.type, "on": "NPU" if item.on_npu else "CPU", "macs": item.op.macs,
             "latency_us": item.latency_us, "energy_uj": item.energy_uj, "bound_by": item.bound}
            for item in found.ops
        ],
    }  # fmt: skip


def _print(found: GraphCost, profile: BoardProfile, title: str, top: int) -> None:
    listed = sorted(found.ops, key=lambda item: -item.latency_us)[:top]
    print_table(
        ("operation", "type", "on", ">M MAC", ">kB moved", ">kB DRAM", ">µs", ">µJ", "bound by"),
        [
            (item.op.name.split(";")[0][-40:], item.op.type, "NPU" if item.on_npu else "CPU",
             f"{item.op.macs / 1e6:.3f}", f"{item.moved_bytes / 1e3:.1f}", f"{item.dram_bytes / 1e3:.1f}",
             f"{item.latency_us:.1f}", f"{item.energy_uj:.1f}", item.bound)
            for item in listed
        ],
        title=f"the {len(listed)} slowest of {len(found.ops)} operations, {title}, MODELLED",
    )  # fmt: skip
    rate_hz = profile.frame_rate_hz
    keeps = "keeps up" if found.keeps_up(rate_hz) else "DOES NOT KEEP UP"
    click.echo(
        f"{found.latency_ms:.2f} ms, {found.energy_mj:.2f} mJ per frame; {found.watts(rate_hz):.2f} W at {rate_hz:g} "
        f"frames/s of {profile.budget_mw / 1000:g} W; {keeps} with a period of {1e3 / rate_hz:.2f} ms; "
        f"{found.npu_ops} operations on the NPU, {found.cpu_ops} on the CPU"
    )
