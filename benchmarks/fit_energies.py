"""Solve the energies of a board's profile from published watts: ``python -m benchmarks.fit_energies``.

The energy of a frame is linear in the energy of an INT8 multiply-accumulate and of an INT8 output element (INT16's are
twice those), so the published watts in INT8 and with attention in INT16 give both; those in FP32 then give FP32's MAC.
It prints what `firmware_bridge/device/profiles/ks100.toml` states, and writes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from firmware_bridge.device.cost import cost
from firmware_bridge.device.graph import Graph, GraphOp
from firmware_bridge.device.profile import BoardProfile
from ks100.steps.costs import untrained
from models.quant.layer_names import operation_names
from models.quant.plan import STANDARD_PLANS
from models.quant.produce import precisions
from models.quant.retype import retyped

_NETWORK = "fusion-transformer"
_FP32_WATTS = 40.3  # published: over 40


def main() -> None:
    """Print the energies and the reference workload."""
    graph, profile = Graph.parse(untrained(_NETWORK)), BoardProfile.load("ks100")
    plans = {
        name: retyped(graph, {i: p.op_dtype for i, p in precisions(graph, STANDARD_PLANS[name]).items()})
        for name in ("int8", "mixed", "fp32")
    }
    rate, idle_w = profile.frame_rate_hz, profile.idle_mw / 1e3

    def energy_mj(plan: str, mac_pj: float, element_pj: float, float_mac_pj: float = 0.0) -> float:
        per = {"INT8": (mac_pj, 1), "INT16": (2 * mac_pj, 2), "FLOAT32": (float_mac_pj, 4)}
        npu = {
            name: replace(profile.npu[name], mac_pj=mac, element_pj=bytes_ * element_pj)
            for name, (mac, bytes_) in per.items()
        }
        return cost(plans[plan], replace(profile, npu=npu)).energy_mj

    watts = (profile.published_w["INT8"], profile.published_w["mixed"])
    fixed = np.array([energy_mj(plan, 0, 0) for plan in ("int8", "mixed")])
    columns = [[energy_mj(plan, *unit) for plan in ("int8", "mixed")] - fixed for unit in ((1.0, 0.0), (0.0, 1.0))]
    wanted = np.array([(w - idle_w) / rate * 1e3 for w in watts]) - fixed
    mac_pj, element_pj = np.linalg.solve(np.stack(columns, axis=1), wanted)
    base, slope = energy_mj("fp32", mac_pj, element_pj), energy_mj("fp32", 0, 0, 1.0) - energy_mj("fp32", 0, 0)
    float_mac_pj = ((_FP32_WATTS - idle_w) / rate * 1e3 - base) / slope
    print(f"INT8: mac_pj {mac_pj:.3f}, element_pj {element_pj:.1f}; INT16 twice; FLOAT32: mac_pj {float_mac_pj:.1f}")
    for part, attention in (("backbone", False), ("attention", True)):
        print(part, _workload(plans, profile, attention))


def _workload(plans: Mapping[str, Graph], profile: BoardProfile, attention: bool) -> str:
    """Return the totals of a part as the profile's ``[reference]`` has them."""

    def spilled(graph: Graph) -> int:
        tensors = [graph.tensors[i] for op in _part(graph, attention) for i in (*op.inputs, *op.outputs) if i >= 0]
        return sum(math.prod(t.shape) for t in tensors if not t.constant and t.size_bytes > profile.sram_bytes // 2)

    ops = _part(plans["int8"], attention)
    totals = {
        "macs": sum(op.macs for op in ops),
        "elements": sum(op.output_elements for op in ops if op.op != "RESHAPE"),
        "weight_bytes": sum(op.weight_bytes for op in ops),
        "spilled_elements_int8": spilled(plans["int8"]),
        "spilled_elements_int16": spilled(plans["mixed"]),
        "spilled_elements_float32": spilled(plans["fp32"]),
    }
    return "{ " + ", ".join(f"{name} = {value / 1e6:.4g}e6" for name, value in totals.items()) + " }"


def _part(graph: Graph, attention: bool) -> list[GraphOp]:
    names = operation_names(graph)
    return [op for op in graph.ops if names[op.index][0].startswith("fusion_") == attention]


if __name__ == "__main__":
    main()
