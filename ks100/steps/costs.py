"""Costs of a graph on a board, as it is or under a plan."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ks100.errors import UsageError
from ks100.steps.evaluating import read_graph

if TYPE_CHECKING:
    from firmware_bridge.device.cost import GraphCost
    from firmware_bridge.device.graph import Graph
    from firmware_bridge.device.profile import BoardProfile

__all__ = ["draw_roofline", "graph_of", "planned_graph", "untrained"]


def graph_of(model: Path) -> bytes:
    """Return the graph of ``model``: a .tflite, a package, a trained network's folder, or a network's name.

    Raises:
        UsageError: unknown name.
    """
    from ks100.steps.training import FLOAT_GRAPH

    if model.is_dir():
        return read_graph(model / FLOAT_GRAPH)
    if model.exists() or model.is_symlink() or model.suffix or len(model.parts) > 1:
        return read_graph(model)
    return untrained(str(model))


def untrained(name: str) -> bytes:
    """Return a network with untrained weights as a float graph, sufficient for its cost.

    Raises:
        UsageError: unknown network.
    """
    from models.networks import NETWORKS, build

    if name not in NETWORKS:
        raise UsageError(f"{name!r} is neither a file nor a network; networks are {', '.join(NETWORKS)}")
    import keras

    from models.training.export import export_float

    keras.utils.set_random_seed(1)
    return export_float(build(name))


def planned_graph(data: bytes, plan: str | Path, runtime: str) -> Graph:
    """Return the float graph ``data`` retyped by ``plan`` (the name of a standard plan, or a file).

    Raises:
        UsageError: the graph is already quantized.
        RecipeError: the plan is invalid or matches no layer.
        QuantizationError: an operation cannot have its type of the plan.
    """
    from firmware_bridge.device.graph import Graph
    from ks100.steps.quantizing import load_plan
    from models.quant.fitting import fit_for_quantizing
    from models.quant.produce import precisions
    from models.quant.retype import retyped

    if any(op.dtype.startswith("INT") for op in Graph.parse(data).ops if op.macs):
        raise UsageError("the graph is already quantized; --plan needs a float graph")
    graph = Graph.parse(fit_for_quantizing(data))
    wanted = precisions(graph, load_plan(plan), runtime)
    return retyped(graph, {index: precision.op_dtype for index, precision in wanted.items()})


def draw_roofline(found: GraphCost, profile: BoardProfile, title: str, path: Path) -> None:
    """Write the roofline of a cost to an HTML page."""
    from hil.report.charts.roofline import RooflineOp, roofline_chart
    from hil.report.figures import Figure, write_figures

    ops = [
        RooflineOp(
            name=item.op.name.split(";")[0],
            dtype=item.op.dtype,
            macs_per_byte=item.op.macs / max(1, item.moved_bytes),
            macs_per_s=1e6 * item.op.macs / item.latency_us if item.latency_us else 0.0,
            share=item.latency_us / 1e3 / found.latency_ms,
        )
        for item in found.ops
    ]
    used = {item.op.dtype for item in found.ops}
    roofs = {dtype: engine.macs_per_s for dtype, engine in profile.npu.items() if dtype in used}
    caption = (
        "One dot per operation, with an area proportional to its time. The roofs are the NPU's peak by type, the slope"
        " is the DRAM bandwidth; operations whose tensors stay in SRAM may be above the slope. Modelled."
    )
    chart = roofline_chart(ops, roofs, profile.dram_bytes_per_s)
    write_figures(path, title, profile.description, [Figure("Roofline", caption, chart)])
