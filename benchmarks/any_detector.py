"""Networks of common architectures through the one simulation: how near it is to the integer graph.

``python -m benchmarks.any_detector --json F``. The peer is the produced graph in LiteRT with its reference kernels.
"""

from __future__ import annotations

import argparse

from benchmarks.architectures import ARCHITECTURES, STANDARD_ATTENTION, float_graph, pictures
from benchmarks.harness import Benchmark, run
from firmware_bridge.device.graph import Graph
from models.quant.calibrate import CalibrationMethod, calibrate
from models.quant.plan import STANDARD_PLANS
from models.quant.produce import produce
from models.quant.simulation.against_runtime import output_distance
from models.quant.simulation.engine import Simulation

_CALIBRATION, _HELD_OUT = 16, 8


def measure_all(bench: Benchmark) -> None:
    """Measure each network in INT8 and in INT16."""
    for name in bench.options.only or ARCHITECTURES:
        graph = float_graph(name)
        samples = pictures(Graph.parse(graph).inputs[0].shape, _CALIBRATION + _HELD_OUT)
        ranges = calibrate(graph, samples[:_CALIBRATION], CalibrationMethod.MSE)
        simulation = Simulation(graph, ranges)
        for kind in ("int8", "int16"):
            plan = STANDARD_PLANS[kind]
            produced = produce(graph, plan, ranges)
            distance = output_distance(simulation, simulation.assignment(plan), produced, samples[_CALIBRATION:])
            limit = 0.1 if name in STANDARD_ATTENTION else 0.05
            note = f"worst of {len(distance)} outputs, {_HELD_OUT} held-out pictures"
            bench.row(f"simulation_sigma_{name}_{kind}", max(distance.values()), "sigma", at_most=limit,
                      peer="LiteRT, reference kernels", note=note)  # fmt: skip


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", nargs="+", choices=tuple(ARCHITECTURES), help="networks to measure; all otherwise")


if __name__ == "__main__":
    run("any_detector", measure_all, _options)
